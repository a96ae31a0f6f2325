// Prints what Apache Kafka Connect's converters make of a few values: the golden file of the converter tests.
// Needs connect-api, connect-json, kafka-clients and their dependencies on the class path.
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.connect.data.*;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.*;

public class ConverterGoldens {
    static void line(String kind, String name, byte[] bytes) {
        System.out.println(kind + "\t" + name + "\t" + (bytes == null ? "<null>" : new String(bytes, StandardCharsets.UTF_8)));
    }
    static JsonConverter json(String... config) {
        Map<String, Object> map = new HashMap<>();
        for (int i = 0; i < config.length; i += 2) map.put(config[i], config[i + 1]);
        JsonConverter c = new JsonConverter();
        c.configure(map, false);
        return c;
    }
    static void all(String name, Schema schema, Object value) {
        String[][] configs = {{"json"}, {"plain", "schemas.enable", "false"}, {"numeric", "decimal.format", "NUMERIC"},
            {"keepnull", "replace.null.with.default", "false"}};
        for (String[] c : configs) {
            try {
                line(c[0], name, json(Arrays.copyOfRange(c, 1, c.length)).fromConnectData("t", schema, value));
            } catch (Exception e) {
                System.out.println(c[0] + "\t" + name + "\t<error>");
            }
        }
        StringConverter s = new StringConverter();
        s.configure(Map.of(), false);
        line("string", name, s.fromConnectData("t", schema, value));
        SimpleHeaderConverter h = new SimpleHeaderConverter();
        h.configure(Map.of());
        try {
            line("header", name, h.fromConnectHeader("t", "h", schema, value));
        } catch (Exception e) {
            System.out.println("header\t" + name + "\t<error>");
        }
    }
    static void infer(String text) {
        SimpleHeaderConverter h = new SimpleHeaderConverter();
        h.configure(Map.of());
        SchemaAndValue sv = h.toConnectHeader("t", "h", text.getBytes(StandardCharsets.UTF_8));
        if (sv == null) sv = SchemaAndValue.NULL;
        line("infer", text, (describe(sv.schema()) + " " + show(sv.value())).getBytes(StandardCharsets.UTF_8));
    }
    static String show(Object v) {
        if (v instanceof java.util.Date) return "Date(" + ((java.util.Date) v).getTime() + ")";
        return String.valueOf(v);
    }
    static String describe(Schema s) {
        if (s == null) return "-";
        String t = s.type().getName() + (s.name() == null ? "" : "/" + s.name().substring(s.name().lastIndexOf('.') + 1)) + (s.isOptional() ? "?" : "");
        if (s.type() == Schema.Type.ARRAY) t += "<" + describe(s.valueSchema()) + ">";
        if (s.type() == Schema.Type.MAP) t += "<" + describe(s.keySchema()) + "," + describe(s.valueSchema()) + ">";
        return t;
    }
    static void read(String name, String text, String... config) {
        try {
            SchemaAndValue sv = json(config).toConnectData("t", text == null ? null : text.getBytes(StandardCharsets.UTF_8));
            System.out.println("read\t" + name + "\t" + (text == null ? "<null>" : text) + "\t" + String.join(",", config) + "\t" + describe(sv.schema()) + " " + show(sv.value()));
        } catch (Exception e) {
            System.out.println("read\t" + name + "\t" + text + "\t" + String.join(",", config) + "\t<error>");
        }
    }
    public static void main(String[] args) {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        all("line", Schema.STRING_SCHEMA, "a line");
        all("escapes", Schema.STRING_SCHEMA, "q\" b\\ t\t n\\n \u0001 é € 😀 /");
        all("null-schema", null, null);
        all("null-optional", Schema.OPTIONAL_STRING_SCHEMA, null);
        all("null-required", Schema.STRING_SCHEMA, null);
        all("null-default", SchemaBuilder.string().optional().defaultValue("d").build(), null);
        all("schemaless-string", null, "x");
        all("schemaless-int", null, 5);
        all("schemaless-double", null, 1.5d);
        all("schemaless-list", null, Arrays.asList(1, "a", null, true));
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("a", 1);
        m.put("b", "x");
        all("schemaless-map", null, m);
        Map<Object, Object> im = new LinkedHashMap<>();
        im.put(1, "x");
        all("schemaless-intmap", null, im);
        all("int8", Schema.INT8_SCHEMA, (byte) -3);
        all("int16", Schema.INT16_SCHEMA, (short) 300);
        all("int32", Schema.INT32_SCHEMA, 70000);
        all("int64", Schema.INT64_SCHEMA, 9007199254740993L);
        all("float", Schema.FLOAT32_SCHEMA, 0.1f);
        all("double", Schema.FLOAT64_SCHEMA, 100.0d);
        all("double-big", Schema.FLOAT64_SCHEMA, 1e21d);
        all("double-small", Schema.FLOAT64_SCHEMA, 1.25e-7d);
        all("double-nan", Schema.FLOAT64_SCHEMA, Double.NaN);
        all("double-inf", Schema.FLOAT64_SCHEMA, Double.NEGATIVE_INFINITY);
        all("boolean", Schema.BOOLEAN_SCHEMA, true);
        all("decimal", Decimal.schema(2), new BigDecimal(new BigInteger("12345"), 2));
        all("decimal-neg", Decimal.schema(3), new BigDecimal(new BigInteger("-5"), 3));
        all("decimal-tiny", Decimal.schema(8), new BigDecimal(new BigInteger("5"), 8));
        all("date", org.apache.kafka.connect.data.Date.SCHEMA, new java.util.Date(19782L * 86400000L));
        all("time", Time.SCHEMA, new java.util.Date(43200001L));
        all("timestamp", Timestamp.SCHEMA, new java.util.Date(1709210096789L));
        all("array", SchemaBuilder.array(Schema.INT32_SCHEMA).build(), Arrays.asList(1, 2));
        all("array-strings", SchemaBuilder.array(Schema.STRING_SCHEMA).build(), Arrays.asList("a", "b\"c"));
        Map<String, Integer> sm = new LinkedHashMap<>();
        sm.put("k", 1);
        all("map", SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.INT32_SCHEMA).build(), sm);
        Map<Integer, String> intmap = new LinkedHashMap<>();
        intmap.put(1, "x");
        all("intmap", SchemaBuilder.map(Schema.INT32_SCHEMA, Schema.STRING_SCHEMA).build(), intmap);
        Schema inner = SchemaBuilder.struct().name("inner").field("x", Schema.INT64_SCHEMA).build();
        Schema outer = SchemaBuilder.struct().name("outer").version(3).doc("a doc").parameter("p", "v")
            .field("a", Schema.INT32_SCHEMA)
            .field("b", Schema.OPTIONAL_STRING_SCHEMA)
            .field("c", SchemaBuilder.string().defaultValue("dflt").doc("cdoc").build())
            .field("i", inner)
            .field("l", SchemaBuilder.array(inner).optional().build())
            .optional().build();
        Struct s = new Struct(outer).put("a", 1).put("c", "x").put("i", new Struct(inner).put("x", 7L));
        all("struct", outer, s);

        for (String t : new String[] {"null", "true", "false", "12", "300", "70000", "3000000000", "1.5", "1.0", "-7", "+7", "0.1", "1e3", "1e400",
            "2024-02-29", "12:00:00.000Z", "2024-02-29T12:00:00.000Z", "hello", "12 apples", "[1,2]", "[1, 300]", "[]", "{}", "[1,\"a\"]", "[\"a\",\"b\"]",
            "{\"a\":1}", "{\"a\":1,\"b\":\"x\"}", "\"quoted\"", "{", "[1", "-", "1,2", "a:b", " 5 ", "9223372036854775808", "TRUE", "[null,1]", "[[1],[2]]", "[1.5,2]", "[true]", "a\"b", "123456789.123456789"}) {
            infer(t);
        }
        read("null", null);
        read("empty", "");
        read("envelope", "{\"schema\":{\"type\":\"string\",\"optional\":false},\"payload\":\"x\"}");
        read("missing-optional", "{\"schema\":{\"type\":\"int32\"},\"payload\":5}");
        read("null-schema", "{\"schema\":null,\"payload\":{\"a\":1}}");
        read("no-envelope", "{\"a\":1}");
        read("extra", "{\"schema\":null,\"payload\":1,\"x\":2}");
        read("plain-map", "{\"a\":1,\"b\":1.5}", "schemas.enable", "false");
        read("plain-list", "[1,\"a\",null,true,1.0]", "schemas.enable", "false");
        read("plain-null", "null", "schemas.enable", "false");
        read("bare-null", "null");
        read("plain-text", "\"x\"", "schemas.enable", "false");
        read("plain-bad", "{", "schemas.enable", "false");
        read("plain-trailing", "1 2", "schemas.enable", "false");
        read("leading-zero", "007", "schemas.enable", "false");
        read("big-int", "9223372036854775808", "schemas.enable", "false");
        read("wrong-type", "{\"schema\":{\"type\":\"int32\"},\"payload\":\"x\"}");
        read("null-required", "{\"schema\":{\"type\":\"int32\"},\"payload\":null}");
        read("default", "{\"schema\":{\"type\":\"int32\",\"optional\":true,\"default\":7},\"payload\":null}");
        read("default-off", "{\"schema\":{\"type\":\"int32\",\"optional\":true,\"default\":7},\"payload\":null}", "replace.null.with.default", "false");
        read("fraction-as-int", "{\"schema\":{\"type\":\"int32\"},\"payload\":5.7}");
        read("int-as-double", "{\"schema\":{\"type\":\"double\"},\"payload\":5}");
        read("nan", "{\"schema\":{\"type\":\"double\"},\"payload\":\"NaN\"}");
        read("decimal", "{\"schema\":{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"version\":1,\"parameters\":{\"scale\":\"2\"}},\"payload\":\"MDk=\"}");
        read("decimal-number", "{\"schema\":{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"version\":1,\"parameters\":{\"scale\":\"2\"}},\"payload\":123.45}");
        read("decimal-rescaled", "{\"schema\":{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"version\":1,\"parameters\":{\"scale\":\"2\"}},\"payload\":123.4}");
        read("struct", "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,\"field\":\"a\"},{\"type\":\"string\",\"optional\":true,\"field\":\"b\"}],\"optional\":false,\"name\":\"n\"},\"payload\":{\"a\":1}}");
        read("intmap", "{\"schema\":{\"type\":\"map\",\"keys\":{\"type\":\"int32\"},\"values\":{\"type\":\"string\"}},\"payload\":[[1,\"x\"]]}");
        read("unknown-type", "{\"schema\":{\"type\":\"int99\"},\"payload\":1}");
    }
}
