/// A view of an array in the file: nothing is copied, also not 150,000 strings.
///
/// Numbers are found by multiplication. For strings, the position of every `stride`-th one is kept, so that random access
/// walks over at most `stride` lengths; to visit all, `forEachString` walks once. Indices must be in `0..<count`.
public struct GGUFArray: Sendable {
    public let elementType: GGUFValueType
    public let count: Int
    let file: GGUFBytes
    /// Where the first element begins.
    let start: Int
    /// Strings: where each `stride`-th one begins, relative to `start`.
    let stringIndex: [UInt32]
    /// Arrays of arrays: the elements.
    let nested: [GGUFArray]

    static let stride = 16

    // MARK: strings

    /// The bytes of string `index`, without a copy, in constant time.
    public func withBytes<Result, Failure: Error>(
        ofString index: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(rebasing: file.bytes[stringRange(index)]))
    }

    /// A copy of string `index`; invalid UTF-8 becomes U+FFFD.
    public func string(_ index: Int) -> String { String(decoding: file.bytes[stringRange(index)], as: UTF8.self) }

    /// A copy of the bytes of string `index`.
    public func stringBytes(_ index: Int) -> [UInt8] { [UInt8](file.bytes[stringRange(index)]) }

    /// Visits all strings in order.
    public func forEachString<Failure: Error>(
        _ body: (Int, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(elementType == .string, "the array holds no strings")
        var position = start
        for index in 0..<count {
            let range = stringRange(at: position)
            try body(index, UnsafeRawBufferPointer(rebasing: file.bytes[range]))
            position = range.upperBound
        }
    }

    // MARK: numbers

    /// Element `index` as an integer; nil if it is none, or does not fit.
    public func integer(_ index: Int) -> Int64? {
        switch scalar(index) {
        case .unsigned(let value, _): Int64(exactly: value)
        case .signed(let value, _): value
        default: nil
        }
    }

    /// Element `index` as a number; nil if it is none.
    public func double(_ index: Int) -> Double? {
        switch scalar(index) {
        case .unsigned(let value, _): Double(value)
        case .signed(let value, _): Double(value)
        case .float(let value, _): value
        default: nil
        }
    }

    /// Element `index` as a truth value; nil if it is none.
    public func bool(_ index: Int) -> Bool? {
        if case .bool(let value) = scalar(index) { value } else { nil }
    }

    /// Element `index` of an array of arrays.
    public func array(_ index: Int) -> GGUFArray? { elementType == .array ? nested[index] : nil }

    /// Element `index`, whatever its type.
    func value(_ index: Int) -> GGUFValue {
        switch elementType {
        case .string: return .string(GGUFString(file: file, range: stringRange(index)))
        case .array: return .array(nested[index])
        default:
            guard let value = scalar(index) else { preconditionFailure("\(elementType) has no fixed size") }
            return value
        }
    }

    private func scalar(_ index: Int) -> GGUFValue? {
        precondition(index >= 0 && index < count, "index \(index) of an array of \(count)")
        guard let size = elementType.fixedSize else { return nil }
        return GGUFValue.scalar(elementType, in: file.bytes, at: start + index * size)
    }

    private func stringRange(_ index: Int) -> Range<Int> {
        precondition(elementType == .string, "the array holds no strings")
        precondition(index >= 0 && index < count, "index \(index) of an array of \(count)")
        var position = start + Int(stringIndex[index / Self.stride])
        for _ in 0..<index % Self.stride { position = stringRange(at: position).upperBound }
        return stringRange(at: position)
    }

    /// The lengths were checked when the file was read.
    private func stringRange(at position: Int) -> Range<Int> {
        let length = Int(UInt64(littleEndian: file.bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
        return position + 8..<position + 8 + length
    }
}

extension GGUFValue {
    /// A value of fixed size, from bytes that were checked; for a truth value, any byte but zero is true.
    static func scalar(_ type: GGUFValueType, in bytes: UnsafeRawBufferPointer, at offset: Int) -> GGUFValue? {
        func load<T: FixedWidthInteger>(_: T.Type) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        switch type {
        case .uint8: return .unsigned(UInt64(load(UInt8.self)), type)
        case .int8: return .signed(Int64(load(Int8.self)), type)
        case .uint16: return .unsigned(UInt64(load(UInt16.self)), type)
        case .int16: return .signed(Int64(load(Int16.self)), type)
        case .uint32: return .unsigned(UInt64(load(UInt32.self)), type)
        case .int32: return .signed(Int64(load(Int32.self)), type)
        case .uint64: return .unsigned(load(UInt64.self), type)
        case .int64: return .signed(load(Int64.self), type)
        case .float32: return .float(Double(Float(bitPattern: load(UInt32.self))), type)
        case .float64: return .float(Double(bitPattern: load(UInt64.self)), type)
        case .bool: return .bool(load(UInt8.self) != 0)
        case .string, .array: return nil
        }
    }
}
