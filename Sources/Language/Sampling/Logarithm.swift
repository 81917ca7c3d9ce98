/// The natural logarithm, from additions, multiplications and one division only.
///
/// Like `Exponential` it does not come from the C library, so that thresholds fall the same way everywhere. With
/// x = m * 2^e and m between the square roots of 1/2 and 2, ln m = 2 artanh((m - 1) / (m + 1)); eleven terms of that series
/// leave an error under the rounding of a Double.
enum Logarithm {
    static let ofTwo = 0x1.62e42fefa39efp-1

    /// Minus infinity for 0; the argument is not negative and not NaN.
    static func natural(_ x: Double) -> Double {
        guard x > 0 else { return -.infinity }
        guard x.isFinite else { return x }
        var exponent = Double(x.exponent)
        var m = x.significand
        if m > 0x1.6a09e667f3bcdp0 {
            m /= 2
            exponent += 1
        }
        let s = (m - 1) / (m + 1)
        let square = s * s
        var sum = 1.0 / 21
        sum = sum * square + 1.0 / 19
        sum = sum * square + 1.0 / 17
        sum = sum * square + 1.0 / 15
        sum = sum * square + 1.0 / 13
        sum = sum * square + 1.0 / 11
        sum = sum * square + 1.0 / 9
        sum = sum * square + 1.0 / 7
        sum = sum * square + 1.0 / 5
        sum = sum * square + 1.0 / 3
        sum = sum * square + 1
        return exponent * ofTwo + 2 * s * sum
    }
}
