public import Tensors

/// Keys and values of all layers for a fixed number of sequences.
///
/// Layout: slot, layer, keys then values, position, F32. All of it is reserved at the start and takes memory only where
/// a position was stored. One thread at a time may use it.
public final class KeyValueCache: @unchecked Sendable {
    public let slots: Int
    /// Positions of each slot.
    public let positions: Int
    let layerCount: Int
    let keyValueWidth: Int
    private let headDimension: Int
    private let memory: ReservedMemory
    private var lengths: [Int]

    public init(configuration: DecoderConfiguration, slots: Int, positions: Int) throws(MemoryError) {
        let (slotBytes, overflow) = configuration.cacheBytesPerPosition.multipliedReportingOverflow(by: positions)
        let (bytes, again) = slotBytes.multipliedReportingOverflow(by: slots)
        guard slots > 0, positions > 0, !overflow, !again else { throw MemoryError(bytes: .max) }
        memory = try ReservedMemory(byteCount: bytes)
        self.slots = slots
        self.positions = positions
        layerCount = configuration.layerCount
        keyValueWidth = configuration.keyValueWidth
        headDimension = configuration.headDimension
        lengths = Array(repeating: 0, count: slots)
    }

    /// Bytes that are reserved.
    public var byteCount: Int { memory.byteCount }

    /// Bytes that the stored positions take.
    public var usedByteCount: Int { lengths.reduce(0, +) * bytesPerPosition }

    /// Positions stored for a slot.
    public func length(slot: Int) -> Int { lengths[slot] }

    /// Forgets the positions from `length` on.
    public func truncate(slot: Int, to length: Int) {
        precondition(length >= 0, "a length of \(length)")
        lengths[slot] = min(lengths[slot], length)
    }

    /// Forgets a sequence; its memory stays for the next one in the slot.
    public func clear(slot: Int) { lengths[slot] = 0 }

    /// Forgets a sequence and gives its memory back to the system.
    public func release(slot: Int) {
        lengths[slot] = 0
        memory.discard(offset: slot * slotBytes, byteCount: slotBytes)
    }

    /// Notes that a slot now holds `length` positions.
    func setLength(_ length: Int, slot: Int) { lengths[slot] = length }

    func layer(_ layer: Int, slot: Int) -> AttentionCache {
        precondition(layer >= 0 && layer < layerCount && slot >= 0 && slot < slots, "layer \(layer), slot \(slot)")
        let count = positions * keyValueWidth
        let size = count * MemoryLayout<Float>.stride
        let offset = slot * slotBytes + 2 * layer * size
        return AttentionCache(
            keys: FloatRows(memory.floats(offset: offset, count: count), rows: positions, columns: keyValueWidth),
            values: FloatRows(
                memory.floats(offset: offset + size, count: count), rows: positions, columns: keyValueWidth),
            headDimension: headDimension)
    }

    private var bytesPerPosition: Int { 2 * layerCount * keyValueWidth * MemoryLayout<Float>.stride }
    private var slotBytes: Int { positions * bytesPerPosition }
}
