/// Appends one payload to a buffer: a fixed structure, then the tail that its ranges point into.
///
/// A field of variable length is a range in the fixed part: u32 offset from the payload's first byte, u32 length in
/// bytes. Ranges lie in the tail one after the other, in the order of the fields, without gaps; so each value has
/// exactly one encoding. The range (0, 0) is an absent value.
///
/// The first limit that a value breaks is kept in `failure`, and what was written is then worthless.
struct PayloadWriter {
    private let buffer: MessageBuffer
    private(set) var failure: CodecError?
    /// Asked for each field, which the error itself is too large for.
    private var hasFailed = false
    /// Where the payload starts in the buffer.
    private let base: Int
    /// The next byte of the fixed part that is being filled.
    private var cursor: Int
    private var cursorEnd: Int

    init(appendingTo buffer: MessageBuffer, size: Int) {
        self.buffer = buffer
        base = buffer.count
        cursor = base
        cursorEnd = base + size
        buffer.appendZeros(size)
    }

    // MARK: Fixed fields

    mutating func integer<T: FixedWidthInteger>(_ value: T) {
        let position = cursor
        cursor += MemoryLayout<T>.size
        precondition(cursor <= cursorEnd, "the structure's size is too small")
        buffer.mutableBytes.storeLittleEndian(value, at: position)
    }

    mutating func zeros(_ count: Int) {
        cursor += count
        precondition(cursor <= cursorEnd, "the structure's size is too small")
    }

    mutating func flag(_ value: Bool) { integer(UInt8(value ? 1 : 0)) }

    mutating func optional(_ value: UInt32?) {
        integer(UInt32(value == nil ? 0 : 1))
        integer(value ?? 0)
    }

    mutating func float(_ field: String, _ value: Float) {
        if !value.isFinite { fail(.notFinite(field: field)) }
        integer(value.bitPattern)
    }

    // MARK: Ranges

    mutating func text(_ field: String, _ value: String, limit: Int) {
        var value = value
        value.withUTF8 { utf8 in
            if range(field, count: utf8.count, limit: limit) { buffer.append(UnsafeRawBufferPointer(utf8)) }
        }
    }

    mutating func text(_ field: String, _ value: String?, limit: Int) {
        if let value { text(field, value, limit: limit) } else { zeros(8) }
    }

    mutating func raw(_ field: String, _ value: [UInt8], limit: Int) {
        if range(field, count: value.count, limit: limit) { value.withUnsafeBytes { buffer.append($0) } }
    }

    mutating func tokenIDs(_ field: String, _ ids: [Int32], limit: Int = EngineProtocolLimits.tokenIDs) {
        guard range(field, count: ids.count, elementSize: 4, limit: limit) else { return }
        let start = buffer.count
        buffer.appendZeros(ids.count * 4)
        for (index, id) in ids.enumerated() { buffer.mutableBytes.storeLittleEndian(id, at: start + index * 4) }
    }

    /// Appends bytes as they lie in memory.
    mutating func copy(_ field: String, _ value: UnsafeRawBufferPointer, elementSize: Int) {
        let limit = EngineProtocolLimits.payloadBytes / elementSize
        if range(field, count: value.count / elementSize, elementSize: elementSize, limit: limit) {
            buffer.append(value)
        }
    }

    mutating func list<Element>(
        _ field: String, _ elements: [Element], elementSize: Int, limit: Int,
        _ write: (inout PayloadWriter, Element) -> Void
    ) {
        guard range(field, count: elements.count, elementSize: elementSize, limit: limit) else { return }
        let start = buffer.count
        buffer.appendZeros(elements.count * elementSize)
        let outer = (cursor, cursorEnd)
        for (index, element) in elements.enumerated() {
            cursor = start + index * elementSize
            cursorEnd = cursor + elementSize
            write(&self, element)
        }
        (cursor, cursorEnd) = outer
    }

    mutating func structure(_ field: String, size: Int, _ write: (inout PayloadWriter) -> Void) {
        guard range(field, count: size, limit: size) else { return }
        let outer = (cursor, cursorEnd)
        cursor = buffer.count
        cursorEnd = cursor + size
        buffer.appendZeros(size)
        write(&self)
        (cursor, cursorEnd) = outer
    }

    mutating func structure<Value>(
        _ field: String, _ value: Value?, size: Int, _ write: (inout PayloadWriter, Value) -> Void
    ) {
        if let value { structure(field, size: size) { write(&$0, value) } } else { zeros(8) }
    }

    /// Writes where the next bytes of the tail begin and how many they are; false when they are not to be written.
    private mutating func range(_ field: String, count: Int, elementSize: Int = 1, limit: Int) -> Bool {
        let offset = buffer.count - base
        let total = EngineProtocolLimits.payloadBytes
        if count > limit {
            fail(.limitExceeded(field: field, limit: limit, value: count))
        } else if count * elementSize > total - offset {
            fail(.limitExceeded(field: field, limit: total, value: offset + count * elementSize))
        } else {
            integer(UInt32(offset))
            integer(UInt32(count * elementSize))
        }
        return !hasFailed
    }

    mutating func fail(_ error: CodecError) {
        guard !hasFailed else { return }
        hasFailed = true
        failure = error
    }
}
