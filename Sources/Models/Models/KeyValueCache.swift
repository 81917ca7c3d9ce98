public import Tensors

/// A pool of blocks, each of which holds keys and values of all layers for 32 positions of a sequence.
///
/// Who owns a block is not known here: a step brings, for each sequence, the table of its blocks. All of the memory is
/// reserved at the start; beyond the committed blocks it takes space only where a position was stored. One thread at a time
/// may use it.
public final class KeyValueCache: @unchecked Sendable {
    /// Positions of a block.
    public static let blockPositions = KeyValueBlocks.positions

    public let blocks: Int
    public let type: CacheType
    let layerCount: Int
    let keyValueWidth: Int
    private let heads: Int
    private let headDimension: Int
    private let layerBytes: Int
    private let blockBytes: Int
    private let memory: ReservedMemory
    private var committedBlocks = 0

    public init(configuration: DecoderConfiguration, blocks: Int, type: CacheType = .f16) throws(MemoryError) {
        layerCount = configuration.layerCount
        keyValueWidth = configuration.keyValueWidth
        heads = configuration.keyValueHeadCount
        headDimension = configuration.headDimension
        layerBytes = KeyValueBlocks.byteCount(heads: heads, headDimension: headDimension, type: type)
        blockBytes = configuration.cacheBytesPerBlock(type)
        let (bytes, overflow) = blockBytes.multipliedReportingOverflow(by: blocks)
        guard blocks > 0, !overflow else { throw MemoryError(bytes: .max) }
        memory = try ReservedMemory(byteCount: bytes, hugePages: true)
        self.blocks = blocks
        self.type = type
    }

    /// Takes the memory of the first blocks, which are used first, from the system for good.
    ///
    /// To be called before anything is stored.
    public func commit(blocks count: Int) throws(MemoryError) {
        committedBlocks = min(max(count, 0), blocks)
        try memory.commit(byteCount: committedBlocks * blockBytes)
    }

    /// Bytes that are reserved.
    public var byteCount: Int { memory.byteCount }

    /// Makes one block a copy of another.
    ///
    /// What is computed after it has the same bits as if the positions had been computed there.
    public func copyBlock(from source: Int, to target: Int) {
        bytes(of: target).copyMemory(from: UnsafeRawBufferPointer(bytes(of: source)))
    }

    /// Gives the memory of a block back to the system, unless it is committed.
    public func release(block: Int) {
        precondition(block >= 0 && block < blocks, "block \(block) of \(blocks)")
        guard block >= committedBlocks else { return }
        memory.discard(offset: block * blockBytes, byteCount: blockBytes)
    }

    /// The part of all blocks that belongs to a layer.
    func layer(_ layer: Int, instructionSet: InstructionSet) -> KeyValueBlocks {
        precondition(layer >= 0 && layer < layerCount, "layer \(layer) of \(layerCount)")
        return KeyValueBlocks(
            memory: memory.bytes(offset: 0, count: memory.byteCount), blockBytes: blockBytes,
            offset: layer * layerBytes, heads: heads, headDimension: headDimension, type: type,
            instructionSet: instructionSet)
    }

    /// The memory of a block; a copy of its bytes in a block of another cache of the same shape and type means the same.
    public func bytes(of block: Int) -> UnsafeMutableRawBufferPointer {
        precondition(block >= 0 && block < blocks, "block \(block) of \(blocks)")
        return memory.bytes(offset: block * blockBytes, count: blockBytes)
    }
}
