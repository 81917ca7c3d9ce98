import Platform

/// Names that nobody can guess: a prefix and 128 random bits.
enum PublicName {
    static func make(prefix: String) -> String {
        "\(prefix)-\(hexadecimal(SystemRandom.next()))\(hexadecimal(SystemRandom.next()))"
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
