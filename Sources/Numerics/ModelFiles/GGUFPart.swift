import Tensors

/// What the header of one part says: metadata and tensor table, every value checked.
///
/// Layout (little-endian): magic `GGUF`, version u32, tensor count u64, entry count u64, the entries (key, type u32,
/// value), the tensor table (name, dimension count u32, dimensions u64, type u32, offset u64), padding to the
/// alignment, data. Source: the format description that GGML publishes.
struct GGUFPart {
    let version: UInt32
    let metadata: GGUFMetadata
    let tensors: [GGUFTensor]

    init(_ file: GGUFBytes, part: Int, limits: GGUFLimits) throws(ModelFileError) {
        let header = UnsafeRawBufferPointer(rebasing: file.bytes.prefix(limits.headerBytes))
        var reader = HeaderReader(file: file, cursor: GGUFCursor(bytes: header, part: part), limits: limits)
        version = try reader.readVersion()
        let tensorCount = try reader.readCount("tensor count", limit: limits.tensors, bytesEach: 24)
        let entryCount = try reader.readCount("metadata entry count", limit: limits.metadataEntries, bytesEach: 13)
        metadata = try reader.readMetadata(count: entryCount)
        let alignment = try reader.alignment(metadata)
        tensors = try reader.readTensors(count: tensorCount, alignment: alignment)
    }
}

/// Reads the sections of a header in their order.
private struct HeaderReader {
    let file: GGUFBytes
    var cursor: GGUFCursor
    let limits: GGUFLimits
    private var nestedArrays = 0

    init(file: GGUFBytes, cursor: GGUFCursor, limits: GGUFLimits) {
        self.file = file
        self.cursor = cursor
        self.limits = limits
    }

    mutating func readVersion() throws(ModelFileError) -> UInt32 {
        guard file.bytes.count >= 4, file.bytes.prefix(4).elementsEqual("GGUF".utf8) else {
            throw .notGGUF(part: cursor.part, finding: FileFormatGuess.sentence(for: file.bytes))
        }
        try cursor.skip(4, "magic")
        let version = try cursor.integer(UInt32.self, "version")
        switch version {
        case 2, 3: return version
        case 1:
            throw .unsupported(part: cursor.part, finding: "GGUF version 1 is not supported: convert it to version 3")
        case _ where version & 0xFFFF == 0 && version != 0:
            throw .unsupported(
                part: cursor.part, finding: "the file is big-endian GGUF: only little-endian files are supported")
        default:
            throw .unsupported(
                part: cursor.part, finding: "GGUF version \(version) is not supported: versions 2 and 3 are")
        }
    }

    /// A count that the limits allow and the rest of the file has room for.
    mutating func readCount(_ what: String, limit: Int, bytesEach: Int) throws(ModelFileError) -> Int {
        let offset = cursor.offset
        let count = try cursor.integer(UInt64.self, what)
        guard count <= UInt64(limit) else {
            throw .limitExceeded(part: cursor.part, offset: offset, what: what, limit: limit, value: count)
        }
        guard count * UInt64(bytesEach) <= UInt64(cursor.remaining) else {
            throw malformed(at: offset, "\(what) is \(count), more than the rest of the file can hold")
        }
        return Int(count)
    }

    // MARK: metadata

    mutating func readMetadata(count: Int) throws(ModelFileError) -> GGUFMetadata {
        let start = cursor.offset
        var entries: [GGUFMetadata.Entry] = []
        for _ in 0..<count {
            let offset = cursor.offset
            let range = try cursor.string("metadata key", limit: limits.keyBytes)
            guard let key = cursor.text(range), !key.isEmpty else {
                throw malformed(at: offset, "a metadata key is empty or not UTF-8")
            }
            let type = try readType()
            entries.append(GGUFMetadata.Entry(key: key, value: try readValue(type, key: key)))
        }
        guard let metadata = GGUFMetadata(entries: entries) else {
            throw malformed(at: start, "a metadata key occurs twice: \(printable(firstRepeated(entries.map(\.key))))")
        }
        return metadata
    }

    private mutating func readType() throws(ModelFileError) -> GGUFValueType {
        let offset = cursor.offset
        let number = try cursor.integer(UInt32.self, "metadata type")
        guard let type = GGUFValueType(rawValue: number) else {
            throw malformed(at: offset, "\(number) is no metadata type")
        }
        return type
    }

    private mutating func readValue(_ type: GGUFValueType, key: String) throws(ModelFileError) -> GGUFValue {
        switch type {
        case .string:
            let range = try cursor.string("string \(printable(key))", limit: limits.stringBytes)
            return .string(GGUFString(file: file, range: range))
        case .array:
            return .array(try readArray(key: key, depth: 1))
        default:
            let offset = cursor.offset
            try cursor.skip(UInt64(type.fixedSize ?? 0), "value of \(printable(key))")
            guard let value = GGUFValue.scalar(type, in: file.bytes, at: offset) else {
                throw malformed(at: offset, "\(printable(key)) has no value")
            }
            return value
        }
    }

    private mutating func readArray(key: String, depth: Int) throws(ModelFileError) -> GGUFArray {
        let elementType = try readType()
        let offset = cursor.offset
        let count = try cursor.integer(UInt64.self, "length of array \(printable(key))")
        // The smallest string is 8 bytes of length, the smallest array 12 bytes of type and length.
        let elementSize = UInt64(elementType.fixedSize ?? (elementType == .string ? 8 : 12))
        let (bytes, overflow) = count.multipliedReportingOverflow(by: elementSize)
        guard !overflow, bytes <= UInt64(cursor.remaining) else {
            throw malformed(
                at: offset, "array \(printable(key)) of \(count) elements is longer than the rest of the file")
        }
        let start = cursor.offset
        var stringIndex: [UInt32] = []
        var nested: [GGUFArray] = []
        switch elementType {
        case .string: stringIndex = try readStrings(count: Int(count), key: key)
        case .array: nested = try readNested(count: Int(count), key: key, depth: depth)
        default: try cursor.skip(bytes, "array \(printable(key))")
        }
        return GGUFArray(
            elementType: elementType, count: Int(count), file: file, start: start, stringIndex: stringIndex,
            nested: nested)
    }

    /// Checks all lengths and notes every `GGUFArray.stride`-th position.
    private mutating func readStrings(count: Int, key: String) throws(ModelFileError) -> [UInt32] {
        let start = cursor.offset
        let what = "an element of \(printable(key))"
        var index: [UInt32] = []
        index.reserveCapacity((count + GGUFArray.stride - 1) / GGUFArray.stride)
        for element in 0..<count {
            if element % GGUFArray.stride == 0 { index.append(UInt32(truncatingIfNeeded: cursor.offset - start)) }
            _ = try cursor.string(what, limit: limits.stringBytes)
        }
        return index
    }

    private mutating func readNested(count: Int, key: String, depth: Int) throws(ModelFileError) -> [GGUFArray] {
        guard depth < limits.arrayDepth else {
            throw .limitExceeded(
                part: cursor.part, offset: cursor.offset, what: "depth of array \(printable(key))",
                limit: limits.arrayDepth, value: UInt64(depth) + 1)
        }
        nestedArrays += count
        guard nestedArrays <= limits.nestedArrays else {
            throw .limitExceeded(
                part: cursor.part, offset: cursor.offset, what: "number of arrays inside arrays",
                limit: limits.nestedArrays, value: UInt64(nestedArrays))
        }
        var nested: [GGUFArray] = []
        for _ in 0..<count { nested.append(try readArray(key: key, depth: depth + 1)) }
        return nested
    }

    func alignment(_ metadata: GGUFMetadata) throws(ModelFileError) -> Int {
        guard metadata["general.alignment"] != nil else { return 32 }
        guard let value = metadata.uint("general.alignment"), value >= 8, value.nonzeroBitCount == 1,
            value <= UInt64(limits.alignment)
        else {
            throw malformed(
                at: cursor.offset, "general.alignment must be a power of two from 8 to \(limits.alignment)")
        }
        return Int(value)
    }

    // MARK: tensors

    private struct TableLine {
        let name: String
        let type: TensorType
        let dimensions: [Int]
        let byteCount: Int
        let dataOffset: UInt64
        let place: Int
    }

    mutating func readTensors(count: Int, alignment: Int) throws(ModelFileError) -> [GGUFTensor] {
        var lines: [TableLine] = []
        for _ in 0..<count { lines.append(try readLine(alignment: alignment)) }
        if Set(lines.map(\.name)).count != lines.count {
            let name = firstRepeated(lines.map(\.name))
            let place = lines.last { $0.name == name }?.place ?? cursor.offset
            throw malformed(at: place, "tensor \(printable(name)) occurs twice")
        }
        // The header ends within the file, so rounding up cannot overflow.
        let dataStart = (cursor.offset + alignment - 1) / alignment * alignment
        let tensors = try lines.map { line throws(ModelFileError) in try place(line, dataStart: dataStart) }
        try checkOverlap(tensors, lines)
        return tensors
    }

    private mutating func readLine(alignment: Int) throws(ModelFileError) -> TableLine {
        let place = cursor.offset
        let range = try cursor.string("tensor name", limit: limits.tensorNameBytes)
        guard let name = cursor.text(range), !name.isEmpty else {
            throw malformed(at: place, "a tensor name is empty or not UTF-8")
        }
        let dimensions = try readDimensions(name)
        let typeOffset = cursor.offset
        let number = try cursor.integer(UInt32.self, "type of tensor \(printable(name))")
        guard let type = TensorType(rawValue: number) else {
            throw malformed(at: typeOffset, "tensor \(printable(name)) has the unknown type \(number)")
        }
        let byteCount = try byteCount(of: name, type, dimensions, at: place)
        let offset = try cursor.integer(UInt64.self, "offset of tensor \(printable(name))")
        guard offset % UInt64(alignment) == 0 else {
            throw malformed(
                at: place, "the data of tensor \(printable(name)) at \(offset) is not aligned to \(alignment) bytes")
        }
        return TableLine(
            name: name, type: type, dimensions: dimensions, byteCount: byteCount, dataOffset: offset, place: place)
    }

    private mutating func readDimensions(_ name: String) throws(ModelFileError) -> [Int] {
        let offset = cursor.offset
        let count = try cursor.integer(UInt32.self, "dimension count of \(printable(name))")
        guard (1...4).contains(count) else {
            throw malformed(at: offset, "tensor \(printable(name)) has \(count) dimensions, not 1 to 4")
        }
        var dimensions: [Int] = []
        for _ in 0..<count {
            let dimension = try cursor.integer(UInt64.self, "dimensions of \(printable(name))")
            guard dimension > 0, dimension <= UInt64(Int.max) else {
                throw malformed(at: offset, "tensor \(printable(name)) has a dimension of \(dimension)")
            }
            dimensions.append(Int(dimension))
        }
        return dimensions
    }

    private func byteCount(
        of name: String, _ type: TensorType, _ dimensions: [Int], at place: Int
    ) throws(ModelFileError) -> Int {
        guard dimensions[0] % type.blockSize == 0 else {
            throw malformed(
                at: place,
                "rows of tensor \(printable(name)) have \(dimensions[0]) elements, no multiple of the \(type.blockSize) of \(type.name)"
            )
        }
        var bytes = type.rowBytes(columns: dimensions[0])
        var elements: Int? = dimensions[0]
        for dimension in dimensions.dropFirst() {
            bytes = bytes.flatMap { product($0, dimension) }
            elements = elements.flatMap { product($0, dimension) }
        }
        guard let bytes, elements != nil else {
            throw malformed(at: place, "the size of tensor \(printable(name)) overflows: \(dimensions)")
        }
        return bytes
    }

    private func product(_ a: Int, _ b: Int) -> Int? {
        let (result, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? nil : result
    }

    private func place(_ line: TableLine, dataStart: Int) throws(ModelFileError) -> GGUFTensor {
        let available = UInt64(max(file.bytes.count - dataStart, 0))
        guard line.dataOffset <= available, UInt64(line.byteCount) <= available - line.dataOffset else {
            throw malformed(
                at: line.place,
                "tensor \(printable(line.name)) needs \(line.byteCount) bytes at \(line.dataOffset) of the data, but the data has only \(available) bytes"
            )
        }
        return GGUFTensor(
            name: line.name, type: line.type, dimensions: line.dimensions, part: cursor.part,
            offset: dataStart + Int(line.dataOffset), byteCount: line.byteCount)
    }

    private func checkOverlap(_ tensors: [GGUFTensor], _ lines: [TableLine]) throws(ModelFileError) {
        let order = tensors.indices.sorted { (tensors[$0].offset, $0) < (tensors[$1].offset, $1) }
        for (previous, next) in zip(order, order.dropFirst())
        where tensors[previous].offset + tensors[previous].byteCount > tensors[next].offset {
            throw malformed(
                at: lines[next].place,
                "tensors \(printable(tensors[previous].name)) and \(printable(tensors[next].name)) overlap")
        }
    }

    private func malformed(at offset: Int, _ reason: String) -> ModelFileError {
        .malformed(part: cursor.part, offset: offset, reason: reason)
    }
}

private func firstRepeated(_ names: [String]) -> String {
    var seen: Set<String> = []
    return names.first { !seen.insert($0).inserted } ?? ""
}
