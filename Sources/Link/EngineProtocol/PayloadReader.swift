/// Reads what `PayloadWriter` writes from bytes that nobody vouches for.
///
/// Each range must start exactly where the one before it ended, so ranges cannot overlap, point backwards or hide
/// bytes between them; nothing is allocated before its size has been checked against the bytes that are there.
struct PayloadReader {
    typealias ReadElement<Element> = (inout PayloadReader) throws(CodecError) -> Element

    private let bytes: UnsafeRawBufferPointer
    /// The next byte of the fixed part that is being read.
    private var cursor = 0
    private var cursorEnd: Int
    /// Where the next range must start.
    private var tail: Int

    init(_ bytes: UnsafeRawBufferPointer, size: Int) throws(CodecError) {
        guard bytes.count >= size else { throw .truncated(field: "payload") }
        self.bytes = bytes
        cursorEnd = size
        tail = size
    }

    /// Checks that every byte was read.
    func finish() throws(CodecError) {
        precondition(cursor == cursorEnd, "a field of the structure was not read")
        guard tail == bytes.count else { throw .trailingBytes(count: bytes.count - tail) }
    }

    // MARK: Fixed fields

    mutating func integer<T: FixedWidthInteger>(_ field: String, _: T.Type = T.self) throws(CodecError) -> T {
        guard MemoryLayout<T>.size <= cursorEnd - cursor else { throw .truncated(field: field) }
        let value = bytes.littleEndian(T.self, at: cursor)
        cursor += MemoryLayout<T>.size
        return value
    }

    mutating func zeros(_ field: String, _ count: Int) throws(CodecError) {
        for _ in 0..<count {
            let byte: UInt8 = try integer(field)
            guard byte == 0 else { throw .unknownValue(field: field, value: UInt64(byte)) }
        }
    }

    mutating func flag(_ field: String) throws(CodecError) -> Bool {
        switch try integer(field, UInt8.self) {
        case 0: false
        case 1: true
        case let other: throw .unknownValue(field: field, value: UInt64(other))
        }
    }

    mutating func optional(_ field: String) throws(CodecError) -> UInt32? {
        let present: UInt32 = try integer(field)
        let value: UInt32 = try integer(field)
        switch present {
        case 0 where value == 0: return nil
        case 1: return value
        default: throw .unknownValue(field: field, value: UInt64(present))
        }
    }

    mutating func float(_ field: String) throws(CodecError) -> Float {
        let value = Float(bitPattern: try integer(field))
        guard value.isFinite else { throw .notFinite(field: field) }
        return value
    }

    mutating func choice<Choice: RawRepresentable>(_ field: String, _: Choice.Type = Choice.self) throws(CodecError)
        -> Choice where Choice.RawValue: FixedWidthInteger
    {
        let number: Choice.RawValue = try integer(field)
        guard let choice = Choice(rawValue: number) else { throw .unknownValue(field: field, value: UInt64(number)) }
        return choice
    }

    // MARK: Ranges

    mutating func text(_ field: String, limit: Int) throws(CodecError) -> String {
        guard let text = try optionalText(field, limit: limit) else {
            throw .badRange(field: field, offset: 0, length: 0)
        }
        return text
    }

    mutating func optionalText(_ field: String, limit: Int) throws(CodecError) -> String? {
        guard let slice = try range(field, elementSize: 1, limit: limit) else { return nil }
        // The standard library's check is general: it needs longer to begin than for a word.
        if slice.count <= Self.shortText, Self.isASCII(slice) { return String(decoding: slice, as: UTF8.self) }
        guard let text = String(validating: slice, as: UTF8.self) else { throw .invalidText(field: field) }
        return text
    }

    private static let shortText = 256

    private static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var seen: UInt8 = 0
        for byte in bytes { seen |= byte }
        return seen < 0x80
    }

    mutating func raw(_ field: String, limit: Int) throws(CodecError) -> [UInt8] {
        [UInt8](try required(field, elementSize: 1, limit: limit))
    }

    mutating func tokenIDs(_ field: String, limit: Int = EngineProtocolLimits.tokenIDs) throws(CodecError) -> [Int32] {
        let slice = try required(field, elementSize: 4, limit: limit)
        // One for each event of a stream.
        if slice.count == 4 { return [slice.littleEndian(Int32.self, at: 0)] }
        return [Int32](unsafeUninitializedCapacity: slice.count / 4) { ids, count in
            count = slice.count / 4
            for index in 0..<count { ids[index] = slice.littleEndian(Int32.self, at: index * 4) }
        }
    }

    /// The bytes of elements that are to be copied as they lie there.
    mutating func slice(_ field: String, elementSize: Int) throws(CodecError) -> UnsafeRawBufferPointer {
        try required(field, elementSize: elementSize, limit: EngineProtocolLimits.payloadBytes / elementSize)
    }

    mutating func list<Element>(
        _ field: String, elementSize: Int, limit: Int, _ read: ReadElement<Element>
    ) throws(CodecError) -> [Element] {
        let slice = try required(field, elementSize: elementSize, limit: limit)
        let start = tail - slice.count
        let outer = (cursor, cursorEnd)
        defer { (cursor, cursorEnd) = outer }
        if slice.count == elementSize {
            (cursor, cursorEnd) = (start, start + elementSize)
            // The usual case, and an array that need not grow is made faster.
            return [try read(&self)]
        }
        var elements: [Element] = []
        elements.reserveCapacity(slice.count / elementSize)
        for position in stride(from: start, to: start + slice.count, by: elementSize) {
            cursor = position
            cursorEnd = position + elementSize
            elements.append(try read(&self))
        }
        return elements
    }

    mutating func structure<Value>(_ field: String, size: Int, _ read: ReadElement<Value>) throws(CodecError) -> Value {
        guard let value = try optionalStructure(field, size: size, read) else {
            throw .badRange(field: field, offset: 0, length: 0)
        }
        return value
    }

    mutating func optionalStructure<Value>(
        _ field: String, size: Int, _ read: ReadElement<Value>
    ) throws(CodecError) -> Value? {
        guard let slice = try range(field, elementSize: 1, limit: size) else { return nil }
        guard slice.count == size else {
            throw .badLength(field: field, length: UInt32(slice.count), elementSize: size)
        }
        let outer = (cursor, cursorEnd)
        cursor = tail - size
        cursorEnd = tail
        let value = try read(&self)
        precondition(cursor == cursorEnd, "a field of the structure was not read")
        (cursor, cursorEnd) = outer
        return value
    }

    mutating func required(
        _ field: String, elementSize: Int, limit: Int
    ) throws(CodecError) -> UnsafeRawBufferPointer {
        guard let slice = try range(field, elementSize: elementSize, limit: limit) else {
            throw .badRange(field: field, offset: 0, length: 0)
        }
        return slice
    }

    /// The bytes of the next range; nil if the value is absent.
    private mutating func range(
        _ field: String, elementSize: Int, limit: Int
    ) throws(CodecError) -> UnsafeRawBufferPointer? {
        let offset: UInt32 = try integer(field)
        let length: UInt32 = try integer(field)
        if offset == 0 && length == 0 { return nil }
        guard Int(offset) == tail, Int(length) <= bytes.count - tail else {
            throw .badRange(field: field, offset: offset, length: length)
        }
        guard Int(length) % elementSize == 0 else {
            throw .badLength(field: field, length: length, elementSize: elementSize)
        }
        guard Int(length) / elementSize <= limit else {
            throw .limitExceeded(field: field, limit: limit, value: Int(length) / elementSize)
        }
        let slice = UnsafeRawBufferPointer(rebasing: bytes[tail..<tail + Int(length)])
        tail += Int(length)
        return slice
    }
}
