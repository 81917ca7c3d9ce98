extension Tokenizer {
    /// Where a token means something else in another vocabulary; nil if every id means the same in both.
    ///
    /// Entries at the end of the longer one that no text can become, such as padding, do not count.
    public func difference(from other: Tokenizer) -> String? {
        guard kind == other.kind else { return "its kind is '\(kind.rawValue)', not '\(other.kind.rawValue)'" }
        let common = min(vocabulary.count, other.vocabulary.count)
        for longer in [vocabulary, other.vocabulary] where longer.types[common...].contains(where: { $0 != .unused }) {
            return "it has \(vocabulary.count) tokens, not \(other.vocabulary.count)"
        }
        for id in 0..<common {
            let isSame =
                vocabulary.strings[id] == other.vocabulary.strings[id] && isControl[id] == other.isControl[id]
            guard isSame else {
                return "token \(id) is \(text(of: Int32(id)).debugDescription), not "
                    + other.text(of: Int32(id)).debugDescription
            }
        }
        for (name, mine, theirs) in [("first", bos, other.bos), ("last", eos, other.eos)] where mine != theirs {
            return "the \(name) token of a text is \(Self.name(mine)), not \(Self.name(theirs))"
        }
        return nil
    }

    private static func name(_ id: Int32?) -> String { id.map(String.init) ?? "none" }
}
