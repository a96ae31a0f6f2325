import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache's Java producer and consumer behind the drivers' verbs; see drivers/registry.py. */
public final class Driver {
    private static final int KEYS = 1000;
    private static final String FILLER = "the quick brown fox jumps over the lazy dog ".repeat(2);

    private Driver() {}

    public static void main(String[] words) throws Exception {
        Map<String, String> args = new HashMap<>();
        for (int i = 1; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            args.put(pair[0], pair[1]);
        }
        switch (words[0]) {
            case "produce" -> produce(args);
            case "consume" -> consume(args);
            case "group" -> group(args);
            case "seek" -> seek(args);
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    static String key(int i) {
        return String.format("key-%05d", i % KEYS);
    }

    static String value(int i) {
        return String.format("%09d:", i) + FILLER.substring(0, 40 + i % 40);
    }

    private static void produce(Map<String, String> args) throws InterruptedException {
        Properties config = new Properties();
        config.put("bootstrap.servers", args.get("bootstrap"));
        config.put("compression.type", args.get("codec"));
        config.put("acks", "all");
        config.put("linger.ms", "20");
        config.put("enable.idempotence", Boolean.toString(args.containsKey("idempotent")));
        if (!args.containsKey("idempotent")) {
            config.put("max.in.flight.requests.per.connection", "1");
        }
        int rate = Integer.parseInt(args.getOrDefault("rate", "0"));
        long baseTimestamp = Long.parseLong(args.get("base_ts"));
        int to = Integer.parseInt(args.get("to"));
        AtomicInteger acked = new AtomicInteger();
        AtomicReference<Exception> failure = new AtomicReference<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            long start = System.nanoTime();
            int sent = 0;
            for (int i = Integer.parseInt(args.get("from")); i < to; i++) {
                if (rate > 0 && ++sent % 50 == 0) {
                    long ahead = (long) (sent * 1000.0 / rate) - (System.nanoTime() - start) / 1_000_000;
                    if (ahead > 0) {
                        Thread.sleep(ahead);
                    }
                }
                producer.send(new ProducerRecord<>(args.get("topic"), null, baseTimestamp + i, key(i), value(i)), (metadata, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, error);
                    } else if (acked.incrementAndGet() % 1000 == 0) {
                        System.err.println("progress " + acked.get());
                    }
                });
            }
            producer.flush();
        }
        if (failure.get() != null) {
            throw new IllegalStateException(failure.get());
        }
        System.out.println("{\"acked\": " + acked.get() + "}");
    }

    private static KafkaConsumer<String, String> consumer(Map<String, String> args) {
        Properties config = new Properties();
        config.put("bootstrap.servers", args.get("bootstrap"));
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "earliest");
        config.put("session.timeout.ms", "10000");
        config.put("heartbeat.interval.ms", "1000");
        if (args.containsKey("group")) {
            config.put("group.id", args.get("group"));
        }
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private static List<TopicPartition> partitions(KafkaConsumer<String, String> consumer, String topic) {
        List<TopicPartition> list = new ArrayList<>();
        consumer.partitionsFor(topic).forEach(p -> list.add(new TopicPartition(topic, p.partition())));
        return list;
    }

    private static PrintWriter append(String path) throws Exception {
        return new PrintWriter(Files.newBufferedWriter(Path.of(path), StandardCharsets.UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND));
    }

    private static void write(PrintWriter out, ConsumerRecord<String, String> r) {
        out.print(r.partition() + "\t" + r.offset() + "\t" + r.timestamp() + "\t" + r.key() + "\t" + r.value() + "\n");
    }

    private static void consume(Map<String, String> args) throws Exception {
        try (KafkaConsumer<String, String> consumer = consumer(args); PrintWriter out = append(args.get("out"))) {
            List<TopicPartition> all = partitions(consumer, args.get("topic"));
            consumer.assign(all);
            Map<TopicPartition, Long> first = consumer.beginningOffsets(all);
            Map<TopicPartition, Long> end = consumer.endOffsets(all);
            long left = all.stream().mapToLong(p -> end.get(p) - first.get(p)).sum();
            long count = 0;
            while (count < left) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    write(out, r);
                    count++;
                }
            }
            System.out.println("{\"count\": " + count + "}");
        }
    }

    private static void group(Map<String, String> args) throws Exception {
        Thread stdin = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (java.io.IOException closed) {
                // the order to leave, too
            }
        });
        stdin.setDaemon(true);
        stdin.start();
        try (KafkaConsumer<String, String> member = consumer(args);
                PrintWriter out = append(args.get("out")); PrintWriter events = append(args.get("out") + ".events")) {
            member.subscribe(List.of(args.get("topic")), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    events.println("assigned " + partitions.size());
                    events.flush();
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    out.flush();
                    member.commitSync();
                    events.println("revoked " + partitions.size());
                    events.flush();
                }
            });
            while (stdin.isAlive()) {
                ConsumerRecords<String, String> batch = member.poll(Duration.ofMillis(200));
                batch.forEach(r -> write(out, r));
                if (!batch.isEmpty()) {
                    out.flush();
                    member.commitAsync();
                }
            }
            member.commitSync();
        }
        System.out.println("{}");
    }

    private static void seek(Map<String, String> args) {
        Map<Integer, String> result = new TreeMap<>();
        try (KafkaConsumer<String, String> consumer = consumer(args)) {
            Map<TopicPartition, Long> asked = new HashMap<>();
            partitions(consumer, args.get("topic")).forEach(p -> asked.put(p, Long.parseLong(args.get("ts"))));
            consumer.offsetsForTimes(asked).forEach((partition, found) -> {
                if (found == null) {
                    result.put(partition.partition(), "null");
                    return;
                }
                consumer.assign(List.of(partition));
                consumer.seek(partition, found.offset());
                ConsumerRecords<String, String> batch = ConsumerRecords.empty();
                while (batch.isEmpty()) {
                    batch = consumer.poll(Duration.ofSeconds(1));
                }
                ConsumerRecord<String, String> r = batch.iterator().next();
                result.put(partition.partition(), "[" + r.offset() + ", " + Integer.parseInt(r.value().split(":")[0]) + "]");
            });
        }
        StringBuilder json = new StringBuilder();
        result.forEach((p, text) -> json.append(json.isEmpty() ? "" : ", ").append('"').append(p).append("\": ").append(text));
        System.out.println("{" + json + "}");
    }
}
