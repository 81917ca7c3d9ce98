/// A number exactly as the document wrote it.
public struct JSONNumber: Sendable, Equatable {
    /// Matches the grammar of a JSON number.
    public let text: String

    init(checked text: String) { self.text = text }

    public init(_ value: some FixedWidthInteger) { text = String(value) }

    /// Nil for infinities and NaN, which JSON cannot write.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        text = value.description
    }

    /// The nearest double; infinite when the number is beyond the largest one.
    public var double: Double { Double(text) ?? .nan }

    /// The value if it is integral and in range; `1.0` and `1e2` are integral.
    public var int64: Int64? {
        guard let (isNegative, magnitude) = integral else { return nil }
        if isNegative { return magnitude <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil }
        return Int64(exactly: magnitude)
    }

    /// The value if it is integral and in range; `1.0` and `1e2` are integral.
    public var uint64: UInt64? {
        guard let (isNegative, magnitude) = integral, !isNegative || magnitude == 0 else { return nil }
        return magnitude
    }

    private var integral: (isNegative: Bool, magnitude: UInt64)? { plainInteger ?? scaledInteger }

    /// Sign and magnitude of up to 18 digits and nothing else: nearly all integers.
    private var plainInteger: (isNegative: Bool, magnitude: UInt64)? {
        guard text.utf8.count <= 18 else { return nil }
        var (isNegative, magnitude) = (false, UInt64(0))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): magnitude = magnitude &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "-"): isNegative = true
            default: return nil
            }
        }
        return (isNegative, magnitude)
    }

    /// Sign and magnitude, read as digits × 10^exponent without going through a double.
    private var scaledInteger: (isNegative: Bool, magnitude: UInt64)? {
        var digits: [UInt8] = []
        var exponent = 0
        var (isNegative, isFraction) = (false, false)
        var bytes = text.utf8.makeIterator()
        reading: while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "-"): isNegative = true
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if byte != UInt8(ascii: "0") || !digits.isEmpty { digits.append(byte - UInt8(ascii: "0")) }
                if isFraction { exponent -= 1 }
            default:
                exponent += Self.exponent(&bytes)
                break reading
            }
        }
        while digits.last == 0 {
            digits.removeLast()
            exponent += 1
        }
        if digits.isEmpty { return (isNegative, 0) }
        guard exponent >= 0, digits.count + exponent <= 20 else { return nil }
        digits.append(contentsOf: repeatElement(0, count: exponent))
        var magnitude: UInt64 = 0
        for digit in digits {
            let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            magnitude = sum
        }
        return (isNegative, magnitude)
    }

    /// The signed digits after `e`; stops growing far beyond any integer, so that it cannot overflow.
    private static func exponent(_ bytes: inout String.UTF8View.Iterator) -> Int {
        var (value, isNegative) = (0, false)
        while let byte = bytes.next() {
            if byte == UInt8(ascii: "-") { isNegative = true }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), value < 1 << 40 else { continue }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return isNegative ? -value : value
    }
}
