// Prints what the Java transforms make of the records in transform-cases.json: the golden file of the transform tests.
// Needs connect-api, connect-json, connect-transforms, kafka-clients, debezium-connect-plugins and their dependencies on
// the class path. Usage: java TransformGoldens.java transform-cases.json > transform-goldens.jsonl
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.io.File;
import java.util.*;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.*;
import org.apache.kafka.connect.header.*;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;

public class TransformGoldens {
    static final ObjectMapper JSON = new ObjectMapper();
    static final JsonConverter CONVERTER = new JsonConverter();

    static JsonNode schemas;

    static SchemaAndValue read(JsonNode node) throws Exception {
        if (node == null || node.isNull()) return SchemaAndValue.NULL;
        if (node.get("schema").isTextual()) {
            ObjectNode whole = JSON.createObjectNode();
            whole.set("schema", schemas.get(node.get("schema").asText()));
            whole.set("payload", node.get("payload"));
            node = whole;
        }
        return CONVERTER.toConnectData("t", JSON.writeValueAsBytes(node));
    }

    // A date without a schema has no JSON form.
    static Object plain(Object value) {
        if (value instanceof java.util.Date) return Map.of("$date", ((java.util.Date) value).getTime());
        if (value instanceof Map) {
            Map<Object, Object> map = new LinkedHashMap<>();
            ((Map<?, ?>) value).forEach((k, v) -> map.put(k, plain(v)));
            return map;
        }
        return value;
    }

    static JsonNode write(Schema schema, Object value) throws Exception {
        byte[] bytes = CONVERTER.fromConnectData("t", schema, schema == null ? plain(value) : value);
        return bytes == null ? NullNode.getInstance() : named(JSON.readTree(bytes));
    }

    // Each large schema is printed once, on a line of its own before its first use.
    static final Map<JsonNode, String> NAMES = new HashMap<>();

    static JsonNode named(JsonNode envelope) {
        JsonNode schema = envelope.get("schema");
        if (schema.toString().length() < 120) return envelope;
        String name = NAMES.computeIfAbsent(schema, s -> {
            String next = "J" + NAMES.size();
            ObjectNode line = JSON.createObjectNode();
            line.put("schema", next).set("is", s);
            System.out.println(line);
            return next;
        });
        ((ObjectNode) envelope).put("schema", name);
        return envelope;
    }

    static ConnectRecord<?> record(JsonNode r) throws Exception {
        SchemaAndValue key = read(r.get("key")), value = read(r.get("value"));
        ConnectHeaders headers = new ConnectHeaders();
        if (r.has("headers"))
            for (JsonNode h : r.get("headers")) headers.add(h.get("key").asText(), read(h.get("value")));
        String topic = r.path("topic").asText("topic");
        Integer partition = r.has("partition") ? r.get("partition").asInt() : null;
        Long timestamp = r.has("timestamp") ? r.get("timestamp").asLong() : null;
        if (r.has("offset"))
            return new SinkRecord(topic, partition, key.schema(), key.value(), value.schema(), value.value(),
                r.get("offset").asLong(), timestamp, TimestampType.CREATE_TIME, headers);
        return new SourceRecord(null, null, topic, partition, key.schema(), key.value(), value.schema(), value.value(),
            timestamp, headers);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static JsonNode run(JsonNode c) throws Exception {
        Map<String, String> config = new HashMap<>();
        for (Map.Entry<String, JsonNode> e : c.get("config").properties()) config.put(e.getKey(), e.getValue().asText());
        Transformation transform = (Transformation) Class.forName(c.get("class").asText()).getDeclaredConstructor().newInstance();
        transform.configure(config);
        ConnectRecord<?> out = transform.apply(record(c.get("record")));
        if (out == null) return NullNode.getInstance();
        ObjectNode node = JSON.createObjectNode();
        node.put("topic", out.topic());
        node.put("partition", out.kafkaPartition());
        node.put("timestamp", out.timestamp());
        node.set("key", write(out.keySchema(), out.key()));
        node.set("value", write(out.valueSchema(), out.value()));
        ArrayNode headers = node.putArray("headers");
        for (Header h : out.headers()) {
            ObjectNode header = headers.addObject();
            header.put("key", h.key());
            header.set("value", write(h.schema(), h.value()));
        }
        return node;
    }

    public static void main(String[] args) throws Exception {
        Locale.setDefault(Locale.US);
        CONVERTER.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false"), false);
        JsonNode file = JSON.readTree(new File(args[0]));
        schemas = file.get("schemas");
        for (JsonNode c : file.get("cases")) {
            ObjectNode line = JSON.createObjectNode();
            line.set("name", c.get("name"));
            try {
                line.set("result", run(c));
            } catch (Throwable e) {
                line.put("error", e.getClass().getSimpleName());
                if (System.getenv("WHY") != null) line.put("why", String.valueOf(e.getMessage()));
            }
            System.out.println(line);
        }
    }
}
