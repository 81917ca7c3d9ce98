import CKernels

/// How a cache stores keys and values.
public enum CacheType: UInt8, Sendable, CaseIterable {
    case f32 = 0
    case f16 = 1
    /// Q8_0: bytes with an F16 scale for every 32 elements of a position's head.
    case q8 = 8

    var code: UInt32 { UInt32(rawValue) }
}

/// Keys and values of one layer in the blocks of a cache.
///
/// A block holds 32 positions of one sequence; a sequence's block table names the block of each 32 positions.
public struct KeyValueBlocks: @unchecked Sendable {
    /// Positions of a block.
    public static let positions = Int(APUS_BLOCK_POSITIONS)
    /// The most query rows that one call takes.
    public static let maximumQueries = Int(APUS_ATTENTION_ROWS)
    /// The largest head.
    public static let maximumHeadDimension = Int(APUS_HEAD_DIMENSION)

    private let base: UnsafeMutableRawPointer
    private let blockBytes: Int
    private let blocks: Int
    private let heads: Int
    private let headDimension: Int
    private let type: CacheType
    private let instructionSet: InstructionSet

    /// - Parameters:
    ///   - memory: block after block, each `blockBytes` long; the layer's part begins `offset` bytes into each.
    ///   - heads: key-value heads.
    public init(
        memory: UnsafeMutableRawBufferPointer, blockBytes: Int, offset: Int, heads: Int, headDimension: Int,
        type: CacheType, instructionSet: InstructionSet
    ) {
        precondition(heads > 0 && (1...Self.maximumHeadDimension).contains(headDimension), "\(heads) heads")
        precondition(
            offset >= 0 && offset + Self.byteCount(heads: heads, headDimension: headDimension, type: type) <= blockBytes
        )
        guard let base = memory.baseAddress else { preconditionFailure("a cache without memory") }
        self.base = base + offset
        self.blockBytes = blockBytes
        blocks = memory.count / blockBytes
        self.heads = heads
        self.headDimension = headDimension
        self.type = type
        self.instructionSet = instructionSet
    }

    /// Bytes of one layer in one block.
    public static func byteCount(heads: Int, headDimension: Int, type: CacheType) -> Int {
        heads * apus_block_head_bytes(type.code, headDimension)
    }

    private func head(_ head: Int) -> UnsafeMutableRawPointer {
        base + head * apus_block_head_bytes(type.code, headDimension)
    }

    /// Stores keys and values of one row at a position of a sequence.
    public func store(position: Int, table: [Int32], keys: FloatRows, values: FloatRows, row: Int) {
        precondition(keys.columns == heads * headDimension && values.columns == keys.columns, "stores another shape")
        let block = Int(table[position / Self.positions])
        precondition(block >= 0 && block < blocks, "block \(block) of \(blocks)")
        for index in 0..<heads {
            apus_store_position(
                instructionSet.kernels, type.code, head(index) + block * blockBytes, position % Self.positions,
                headDimension,
                keys.pointer(row) + index * headDimension, values.pointer(row) + index * headDimension)
        }
    }

    /// Attention of the query heads that share one of the key-value heads `groups`, for some rows of one sequence.
    ///
    /// A row of `queries` and `output` holds all query heads; heads g · n ..< (g + 1) · n belong to group g.
    public func attend(
        rows: Range<Int>, groups: Range<Int>, table: [Int32], queries: FloatRows, output: FloatRows, scale: Float,
        visible: (_ row: Int) -> Range<Int>
    ) {
        let perGroup = queries.columns / headDimension / heads
        precondition(queries.columns == heads * perGroup * headDimension, "queries are not whole groups")
        precondition(output.columns == queries.columns, "the output is not as wide as the queries")
        precondition(groups.lowerBound >= 0 && groups.upperBound <= heads, "groups \(groups) of \(heads)")
        for block in table { precondition(block >= 0 && block < blocks, "block \(block) of \(blocks)") }
        withUnsafeTemporaryAllocation(of: apus_attention_row.self, capacity: Self.maximumQueries) { lines in
            for group in groups {
                let hasNext = group + 1 < groups.upperBound
                var count = 0
                for row in rows {
                    let positions = visible(row)
                    precondition(
                        !positions.isEmpty && positions.lowerBound >= 0
                            && positions.upperBound <= table.count * Self.positions, "\(positions)")
                    for index in group * perGroup..<(group + 1) * perGroup {
                        lines[count] = apus_attention_row(
                            query: queries.pointer(row) + index * headDimension,
                            output: output.pointer(row) + index * headDimension, first: positions.lowerBound,
                            end: positions.upperBound)
                        count += 1
                        guard count == Self.maximumQueries else { continue }
                        attend(lines[..<count], group: group, hasNext: hasNext, table: table, scale: scale)
                        count = 0
                    }
                }
                attend(lines[..<count], group: group, hasNext: hasNext, table: table, scale: scale)
            }
        }
    }

    private func attend(
        _ lines: Slice<UnsafeMutableBufferPointer<apus_attention_row>>, group: Int, hasNext: Bool, table: [Int32],
        scale: Float
    ) {
        guard !lines.isEmpty else { return }
        table.withUnsafeBufferPointer { table in
            var job = apus_attention()
            job.cache_type = type.code
            job.cache = UnsafeRawPointer(head(group))
            job.block_bytes = blockBytes
            job.blocks = table.baseAddress
            job.head_dimension = headDimension
            job.scale = scale
            job.next_head_bytes = hasNext ? apus_block_head_bytes(type.code, headDimension) : 0
            job.rows = UnsafePointer(lines.base.baseAddress)
            job.row_count = lines.count
            apus_attend(instructionSet.kernels, &job)
        }
    }
}
