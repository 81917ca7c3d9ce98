/// A token bucket: `burst` at once, then a steady rate.
///
/// The clock is handed in, in nanoseconds; a time before the last one counts as no time passed.
public struct RateLimiter: Sendable {
    /// Time that one event costs.
    private let cost: UInt64
    private let fullCredit: UInt64
    private var credit: UInt64
    private var last: UInt64?

    public init(perSecond rate: Double, burst: Int) {
        cost = UInt64(max(1, min(1e18, (1e9 / max(rate, 1e-9)).rounded())))
        let (credit, overflow) = cost.multipliedReportingOverflow(by: UInt64(max(1, burst)))
        fullCredit = overflow ? .max : credit
        self.credit = fullCredit
    }

    /// True if one more event may happen now; it is then counted.
    public mutating func allow(now: UInt64) -> Bool {
        if let last, now > last {
            let (sum, overflow) = credit.addingReportingOverflow(now - last)
            credit = overflow ? fullCredit : min(fullCredit, sum)
        }
        last = max(last ?? now, now)
        guard credit >= cost else { return false }
        credit -= cost
        return true
    }
}
