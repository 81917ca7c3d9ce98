/// Numbers as Python prints them.
enum PythonNumber {
    /// The shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on.
    static func text(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        var (digits, exponent) = decimal(value.magnitude)
        let sign = value.sign == .minus ? "-" : ""
        if exponent < -4 || exponent >= 16 {
            let fraction = digits.count > 1 ? "." + String(digits.dropFirst()) : ""
            let padding = abs(exponent) < 10 ? "0" : ""
            return sign + String(digits.prefix(1)) + fraction + "e" + (exponent < 0 ? "-" : "+") + padding
                + String(abs(exponent))
        }
        if exponent < 0 {
            return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits
        }
        while digits.count < exponent + 2 { digits += "0" }
        return sign + String(digits.prefix(exponent + 1)) + "." + String(digits.dropFirst(exponent + 1))
    }

    /// Significant digits without trailing zeros, and the power of ten of the first one.
    private static func decimal(_ magnitude: Double) -> (digits: String, exponent: Int) {
        let parts = "\(magnitude)".split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        var digits = String(mantissa[0]) + (mantissa.count > 1 ? String(mantissa[1]) : "")
        exponent += mantissa[0].count - 1
        while digits.count > 1, digits.hasPrefix("0") {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.count > 1, digits.hasSuffix("0") { digits.removeLast() }
        return (digits, digits == "0" ? 0 : exponent)
    }

    /// `value` with a fixed number of decimals: the exact binary value, rounded half to even.
    static func fixed(_ value: Double, decimals: Int) -> String {
        guard value.isFinite else { return text(value) }
        var (digits, exponent) = exactDecimal(value.magnitude)
        if exponent < 0 {
            digits = [UInt8](repeating: 0, count: -exponent) + digits
            exponent = 0
        }
        var pointPlace = exponent + 1
        let end = pointPlace + decimals
        digits += [UInt8](repeating: 0, count: max(0, end + 1 - digits.count))
        let isRoundedUp = roundsUp(digits, at: end)
        digits.removeSubrange(end...)
        if isRoundedUp {
            let lastNotNine = digits.lastIndex { $0 != 9 }
            for index in (lastNotNine ?? -1) + 1..<end { digits[index] = 0 }
            if let lastNotNine {
                digits[lastNotNine] += 1
            } else {
                digits.insert(1, at: 0)
                pointPlace += 1
            }
        }
        let text = String(decoding: digits.map { $0 + UInt8(ascii: "0") }, as: UTF8.self)
        let sign = value.sign == .minus ? "-" : ""
        return sign + text.prefix(pointPlace) + (decimals > 0 ? "." + text.dropFirst(pointPlace) : "")
    }

    private static func roundsUp(_ digits: [UInt8], at index: Int) -> Bool {
        if digits[index] != 5 { return digits[index] > 5 }
        if digits[(index + 1)...].contains(where: { $0 != 0 }) { return true }
        return index > 0 && digits[index - 1] % 2 == 1
    }

    /// All digits of the exact binary value, and the power of ten of the first one.
    private static func exactDecimal(_ magnitude: Double) -> (digits: [UInt8], exponent: Int) {
        guard magnitude > 0 else { return ([0], 0) }
        // value = significand × 2^shift, kept as decimal digits, least significant first.
        let shift = Int(magnitude.exponent) - 52
        var significand = UInt64(magnitude.significandBitPattern)
        if magnitude.isNormal { significand |= 1 << 52 }
        var digits = String(significand).utf8.reversed().map { $0 - UInt8(ascii: "0") }
        let effectiveShift = magnitude.isNormal ? shift : -1074
        for _ in 0..<abs(effectiveShift) { multiply(&digits, by: effectiveShift > 0 ? 2 : 5) }
        // Multiplying by 5 n times is dividing by 2 n times, with n decimals.
        let exponent = digits.count - 1 + (effectiveShift < 0 ? effectiveShift : 0)
        return (digits.reversed(), exponent)
    }

    private static func multiply(_ digits: inout [UInt8], by factor: UInt8) {
        var carry: UInt8 = 0
        for index in digits.indices {
            let product = digits[index] * factor + carry
            digits[index] = product % 10
            carry = product / 10
        }
        if carry > 0 { digits.append(carry) }
    }
}
