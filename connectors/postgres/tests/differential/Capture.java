import io.debezium.engine.*;
import io.debezium.engine.format.*;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;

/** Runs an engine of Debezium for each properties file (an argument) until its input ends; writes each record to FILE.tsv as a line: topic, key, value, headers. */
public class Capture {
  static String headers(ChangeEvent<String, String> event) {
    StringJoiner all = new StringJoiner(",");
    for (Header<?> header : event.headers()) all.add(header.getKey() + "=" + header.getValue());
    return all.toString();
  }

  public static void main(String[] files) throws Exception {
    List<DebeziumEngine<ChangeEvent<String, String>>> engines = new ArrayList<>();
    ExecutorService threads = Executors.newCachedThreadPool();
    for (String file : files) {
      Properties properties = new Properties();
      try (Reader reader = new FileReader(file, StandardCharsets.UTF_8)) { properties.load(reader); }
      PrintWriter out = new PrintWriter(new FileWriter(file + ".tsv", StandardCharsets.UTF_8), true);
      var format = KeyValueHeaderChangeEventFormat.of(Json.class, Json.class, Json.class);
      var engine = DebeziumEngine.create(format).using(properties)
        .notifying(e -> out.println(e.destination() + "\t" + e.key() + "\t" + e.value() + "\t" + headers(e)))
        .using((success, message, error) -> { if (!success) out.println("FAILED\tnull\tnull\t" + message); }).build();
      engines.add(engine);
      threads.execute(engine);
    }
    while (System.in.read() >= 0) { }
    for (var engine : engines) engine.close();
    threads.shutdown();
    threads.awaitTermination(20, TimeUnit.SECONDS);
    System.exit(0);
  }
}
