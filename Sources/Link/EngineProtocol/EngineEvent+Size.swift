extension EngineEvent {
    /// What an event counts against bounds in bytes: about what it takes in memory and in a message.
    ///
    /// A local client's window is counted in it on both sides, so it is part of `LocalProtocol`.
    public var size: Int {
        if case .tensor(let chunk) = self { return Self.overhead + chunk.tensor.byteCount }
        guard case .tokens(let chunk) = self else { return Self.overhead }
        var size = Self.overhead + chunk.text.utf8.count + chunk.ids.count * 4
        for entry in chunk.logProbabilities {
            size += Self.size(of: entry.chosen) + entry.top.reduce(0) { $0 + Self.size(of: $1) }
        }
        return size
    }

    public static let overhead = 64

    private static func size(of token: TokenLogProbability) -> Int { overhead + token.bytes.count }
}
