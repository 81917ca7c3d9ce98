import JSON
import Testing

@Suite("JSON numbers")
struct JSONNumberTests {
    @Test(
        "integers are exact, and only what is integral and in range is one",
        arguments: [
            ("0", 0), ("-0", 0), ("12", 12), ("-7", -7), ("1.0", 1), ("1e2", 100), ("1.5e1", 15), ("100e-2", 1),
            ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("0e999999999999999999999", 0),
            ("9223372036854775808", nil), ("-9223372036854775809", nil), ("1.5", nil), ("1e-1", nil), ("1e19", nil),
            ("1e99999999999999999999", nil), ("1e-99999999999999999999", nil),
            ("9007199254740993", 9_007_199_254_740_993),
        ] as [(String, Int64?)])
    func integers(text: String, expected: Int64?) throws {
        #expect(try JSONValue.parse(text).int64Value == expected)
    }

    @Test("unsigned integers reach 2^64 - 1")
    func unsigned() throws {
        #expect(try JSONValue.parse("18446744073709551615").numberValue?.uint64 == .max)
        #expect(try JSONValue.parse("18446744073709551616").numberValue?.uint64 == nil)
        #expect(try JSONValue.parse("-1").numberValue?.uint64 == nil)
        #expect(try JSONValue.parse("-0").numberValue?.uint64 == 0)
    }

    @Test(
        "doubles are the nearest ones",
        arguments: [
            ("0.1", 0.1), ("1e400", Double.infinity), ("-2.5E-3", -0.0025), ("5e-324", Double.leastNonzeroMagnitude),
            ("1e-400", 0),
        ])
    func doubles(text: String, expected: Double) throws {
        #expect(try JSONValue.parse(text).doubleValue == expected)
    }
}
