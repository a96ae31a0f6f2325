// Prints Java's texts of numbers and dates: the golden file of the tests of values as text. Run by a Java from 19 on,
// which prints the shortest digits: `java JavaTexts.java > java-texts.tsv`.
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.*;

public class JavaTexts {
    static void number(double value) {
        System.out.printf("double\t%016x\t%s%n", Double.doubleToLongBits(value), value);
    }

    static void number(float value) {
        System.out.printf("float\t%08x\t%s%n", Float.floatToIntBits(value), value);
    }

    static void decimal(BigInteger unscaled, int scale) {
        String bytes = HexFormat.of().formatHex(unscaled.toByteArray());
        System.out.printf("decimal\t%s\t%d\t%s%n", bytes, scale, new BigDecimal(unscaled, scale));
    }

    static void date(long millis) {
        System.out.printf("date\t%d\t%s%n", millis, new Date(millis));
    }

    public static void main(String[] args) {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        Locale.setDefault(Locale.ROOT);
        Random random = new Random(42);
        double[] some = {0.0, -0.0, 1.0, -1.5, 100.0, 0.1, 0.1 + 0.2, 0.001, 9.99e-4, 1e-4, 1234567.0, 9999999.0, 1e7, 12345678.9, 1e21, 2e23,
            1.25e-7, 1e22, 1e23, 9007199254740993.0, 123456789.123456789, Double.MIN_VALUE, 2 * Double.MIN_VALUE, Double.MIN_NORMAL,
            Double.MAX_VALUE, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Math.nextDown(1e-3), Math.nextDown(1e7),
            Math.nextUp(1e7), 4.35, 2.2250738585072011e-308};
        for (double value : some) {
            number(value);
            number((float) value);
        }
        for (float value : new float[] {Float.MIN_VALUE, 2 * Float.MIN_VALUE, Float.MIN_NORMAL, Float.MAX_VALUE, 1e-3f, Math.nextDown(1e-3f),
            Math.nextDown(1e7f), 16777216f, 3.4e-38f, 1.17e-38f, 33554432f, 8.589973e9f}) {
            number(value);
        }
        for (int i = 0; i < 300; i++) {
            number(Double.longBitsToDouble(random.nextLong()));
            number(Float.intBitsToFloat(random.nextInt()));
            number(random.nextInt(100_000_000) / 1000.0);
            number((float) (random.nextInt(1_000_000) / 100.0));
        }
        for (String number : new String[] {"0", "5", "-5", "12", "123", "1234", "-1", "127", "128", "-128", "-129", "1000000", "-1000000",
            "170141183460469231731687303715884105727", "-170141183460469231731687303715884105728", "170141183460469231731687303715884105728",
            "98765432109876543210987654321098765432109876543210", "-98765432109876543210987654321098765432109876543210"}) {
            for (int scale : new int[] {0, 1, 2, 3, 6, 7, 8, 10, 38, 60, -1, -2, -10, Integer.MAX_VALUE, Integer.MIN_VALUE + 1}) {
                decimal(new BigInteger(number), scale);
            }
        }
        for (int i = 0; i < 100; i++) {
            decimal(new BigInteger(1 + random.nextInt(400), random).multiply(BigInteger.valueOf(random.nextBoolean() ? 1 : -1)), random.nextInt(60) - 10);
        }
        for (long millis : new long[] {0, 1, -1, 999, -999, 86_399_999, 86_400_000, 951_782_400_000L, 951_868_799_999L, 1_709_208_000_123L, -86_400_000,
            -11_676_096_000_000L, 4_107_542_399_000L, 253_402_300_799_999L, 253_402_300_800_000L, 32_503_680_000_000L}) {
            date(millis);
        }
        for (int i = 0; i < 100; i++) {
            date(-11_000_000_000_000L + (long) (random.nextDouble() * 260_000_000_000_000L));
        }
    }
}
