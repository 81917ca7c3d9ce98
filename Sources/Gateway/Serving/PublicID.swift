import Platform

/// Ids that clients see: a prefix and 128 random bits.
public enum PublicID {
    public static func make(prefix: String) -> String {
        "\(prefix)-\(hexadecimal(SystemRandom.next()))\(hexadecimal(SystemRandom.next()))"
    }

    /// Letters, digits, and `.`, `_`, `-`.
    public static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
