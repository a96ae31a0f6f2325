import io.debezium.engine.*;
import io.debezium.engine.format.*;
import java.io.*;
import java.util.*;
import java.util.concurrent.*;
/** Runs Debezium in this process and writes each record as a line: topic, key, value, headers. */
public class Capture {
  static String hs(ChangeEvent<String,String> e) { StringBuilder b = new StringBuilder(); for (Header<?> h : e.headers()) b.append(h.getKey()).append("=").append(h.getValue()).append(","); return b.toString(); }
  public static void main(String[] a) throws Exception {
    Properties p = new Properties();
    try (FileReader r = new FileReader(a[0])) { p.load(r); }
    PrintWriter out = new PrintWriter(new FileWriter(a[1]), true);
    DebeziumEngine<ChangeEvent<String,String>> engine = DebeziumEngine.create(KeyValueHeaderChangeEventFormat.of(Json.class, Json.class, Json.class))
      .using(p).notifying(e -> { out.println(e.destination() + "\t" + e.key() + "\t" + e.value() + "\t" + hs(e)); }).build();
    ExecutorService x = Executors.newSingleThreadExecutor();
    x.execute(engine);
    System.in.read();
    engine.close(); x.shutdown(); x.awaitTermination(20, TimeUnit.SECONDS); System.exit(0);
  }
}
