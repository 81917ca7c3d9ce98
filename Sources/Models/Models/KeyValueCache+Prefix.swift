import Tensors

extension KeyValueCache {
    /// Replaces what a slot holds by the first `positions` of another one.
    ///
    /// What is computed after them has the same bits as if the slot had computed the prefix itself.
    public func copyPrefix(from source: Int, to target: Int, positions: Int) {
        precondition(positions >= 0 && positions <= length(slot: source), "copies \(positions) positions")
        guard source != target else { return truncate(slot: target, to: positions) }
        for index in 0..<layerCount {
            let (from, to) = (layer(index, slot: source), layer(index, slot: target))
            for position in 0..<positions {
                _ = to.keys[position].update(fromContentsOf: from.keys[position])
                _ = to.values[position].update(fromContentsOf: from.values[position])
            }
        }
        setLength(positions, slot: target)
    }
}
