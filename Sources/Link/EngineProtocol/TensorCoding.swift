// A tensor is: u32 rows, u32 columns, range of rows × columns F32 values. Reader and writer stand side by side.

#if _endian(big)
    #error("tensors are copied as they lie in memory, which must be little-endian")
#endif

extension PayloadWriter {
    static let tensorSize = 16

    mutating func tensor(_ field: String, _ tensor: Tensor) {
        if Tensor.valueCount(rows: tensor.rows, columns: tensor.columns) != tensor.values.count {
            fail(.badLength(field: field, length: UInt32(clamping: tensor.byteCount), elementSize: Tensor.valueSize))
        }
        integer(tensor.rows)
        integer(tensor.columns)
        tensor.values.withUnsafeBytes { copy(field, $0, elementSize: Tensor.valueSize) }
    }

    mutating func tensorOptions(_ options: TensorRequest?) {
        flag(options != nil)
        integer((options?.kind ?? .hiddenStates).rawValue)
        zeros(2)
        integer(options?.credit ?? 0)
    }

    mutating func tensorChunk(_ chunk: TensorChunk) {
        integer(chunk.input)
        integer(chunk.kind.rawValue)
        zeros(3)
        integer(chunk.firstRow)
        tensor("tensor", chunk.tensor)
    }
}

extension PayloadReader {
    mutating func tensor(_ field: String) throws(CodecError) -> Tensor {
        let rows: UInt32 = try integer(field)
        let columns: UInt32 = try integer(field)
        let bytes = try slice(field, elementSize: Tensor.valueSize)
        guard Tensor.valueCount(rows: rows, columns: columns) == bytes.count / Tensor.valueSize else {
            throw .badLength(field: field, length: UInt32(bytes.count), elementSize: Tensor.valueSize)
        }
        let values = [Float](unsafeUninitializedCapacity: bytes.count / Tensor.valueSize) { values, count in
            UnsafeMutableRawBufferPointer(values).copyMemory(from: bytes)
            count = values.count
        }
        return Tensor(rows: rows, columns: columns, values: values)
    }

    mutating func tensorOptions() throws(CodecError) -> TensorRequest? {
        let isPresent = try flag("tensors")
        let kind: TensorRequest.Kind = try choice("tensors")
        try zeros("tensors", 2)
        let credit: UInt64 = try integer("credit")
        if isPresent { return TensorRequest(kind: kind, credit: credit) }
        guard kind == .hiddenStates, credit == 0 else { throw .unknownValue(field: "tensors", value: credit) }
        return nil
    }

    mutating func tensorChunk() throws(CodecError) -> TensorChunk {
        let input: UInt32 = try integer("input")
        let kind: TensorRequest.Kind = try choice("kind")
        try zeros("kind", 3)
        let firstRow: UInt32 = try integer("firstRow")
        return TensorChunk(input: input, kind: kind, firstRow: firstRow, tensor: try tensor("tensor"))
    }
}

extension Tensor {
    fileprivate static let valueSize = MemoryLayout<Float>.size

    /// Nil if there are more than a message could hold.
    fileprivate static func valueCount(rows: UInt32, columns: UInt32) -> Int? {
        // The product of two numbers of 32 bits fits into 64.
        let count = UInt64(rows) * UInt64(columns)
        return count <= EngineProtocolLimits.payloadBytes / valueSize ? Int(count) : nil
    }
}
