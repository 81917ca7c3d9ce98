/// e to the power of a number that is not positive, from additions and multiplications only.
///
/// It does not come from the C library, so a seed draws the same tokens whatever that library's version is.
/// The argument is cut to r + n ln 2 with |r| <= ln 2 / 2, and e^r is its Taylor polynomial of degree 10: the relative
/// error is below 1e-11, far under the rounding of the Float that stores the weight.
enum Exponential {
    /// For any argument; infinity above 104.
    static func of(_ x: Double) -> Double { x <= 0 ? ofNonPositive(x) : 1 / ofNonPositive(-x) }

    @inline(__always)
    static func ofNonPositive(_ x: Double) -> Double {
        // Below this the result is under the smallest positive Float; it also keeps the exponent in range.
        guard x > -104 else { return 0 }
        let roundingShift = 0x1.8p52
        let shifted = x * 1.442_695_040_888_963_4 + roundingShift
        let n = shifted - roundingShift
        let r = (x - n * 0x1.62e42fefap-1) - n * 0x1.cf79abc9e3b39p-40
        var p = 1.0 / 3_628_800
        p = p * r + 1.0 / 362_880
        p = p * r + 1.0 / 40_320
        p = p * r + 1.0 / 5_040
        p = p * r + 1.0 / 720
        p = p * r + 1.0 / 120
        p = p * r + 1.0 / 24
        p = p * r + 1.0 / 6
        p = p * r + 0.5
        p = p * r + 1
        p = p * r + 1
        // The low bits of `shifted` hold n: moved into the exponent field they scale by 2^n.
        return p * Double(bitPattern: (shifted.bitPattern &+ 1023) << 52)
    }
}
