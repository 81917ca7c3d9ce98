/// Why there is no room for a model, with the numbers.
public struct MemoryShortage: Error, Sendable, Equatable {
    public struct Holder: Sendable, Equatable {
        public var model: String
        public var bytes: UInt64
        /// Calls that it has; nil if it is ending.
        public var calls: Int?
    }

    public var model: String
    public var neededBytes: UInt64
    public var budgetBytes: UInt64
    /// Those that have memory now.
    public var holders: [Holder]
    /// It cannot fit even alone.
    public var isPermanent: Bool

    public var text: String {
        let needs = "'\(model)' needs \(Self.mebibytes(neededBytes)) MiB"
        if isPermanent {
            return needs + "; the memory budget is \(Self.mebibytes(budgetBytes)) MiB"
        }
        let taken = holders.reduce(0) { $0 + $1.bytes }
        let list = holders.map { holder in
            let use = holder.calls.map { "\($0) \($0 == 1 ? "call" : "calls")" } ?? "ending"
            return "'\(holder.model)' \(Self.mebibytes(holder.bytes)) MiB (\(use))"
        }
        return needs + ", but \(Self.mebibytes(taken)) of \(Self.mebibytes(budgetBytes)) MiB are taken: "
            + list.joined(separator: ", ")
    }

    /// Rounded up: what needs a little has not nothing.
    private static func mebibytes(_ bytes: UInt64) -> UInt64 { bytes >> 20 + (bytes & 0xF_FFFF == 0 ? 0 : 1) }
}
