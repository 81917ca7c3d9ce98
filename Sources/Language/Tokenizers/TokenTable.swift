/// Finds a token by its bytes: an open-addressing table of ids over strings that are kept elsewhere.
///
/// The hash begins with a random number, so a file cannot be made whose tokens all collide.
struct TokenTable: Sendable {
    private struct Slot {
        var tag: UInt32
        var id: Int32
    }

    private var slots: [Slot]
    private let mask: Int
    private let seed = UInt64.random(in: .min ... .max)

    init(capacity: Int) {
        // At most two thirds full: short probes, and 12 to 24 bytes per token.
        var size = 16
        while size * 2 < capacity * 3 { size *= 2 }
        slots = [Slot](repeating: Slot(tag: 0, id: -1), count: size)
        mask = size - 1
    }

    /// Adds a token unless there is one with the same bytes.
    mutating func insert(_ id: Int32, in strings: ByteStrings) {
        let range = strings.range(Int(id))
        let hash = Self.hash(strings.bytes.span, range, seed: seed)
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        var place = Int(truncatingIfNeeded: hash) & mask
        while slots[place].id >= 0 {
            if slots[place].tag == tag, strings[Int(slots[place].id)] == strings.bytes[range] { return }
            place = (place + 1) & mask
        }
        slots[place] = Slot(tag: tag, id: id)
    }

    /// The id of the token with the bytes `text[range]`, or -1.
    func find(_ text: borrowing Span<UInt8>, _ range: Range<Int>, in strings: ByteStrings) -> Int32 {
        let hash = Self.hash(text, range, seed: seed)
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        var place = Int(truncatingIfNeeded: hash) & mask
        while slots[place].id >= 0 {
            if slots[place].tag == tag, Self.equal(text, range, strings, Int(slots[place].id)) {
                return slots[place].id
            }
            place = (place + 1) & mask
        }
        return -1
    }

    private static func equal(
        _ text: borrowing Span<UInt8>, _ range: Range<Int>, _ strings: ByteStrings, _ id: Int
    ) -> Bool {
        let other = strings.range(id)
        guard other.count == range.count else { return false }
        let bytes = strings.bytes.span
        for offset in 0..<range.count where text[range.lowerBound + offset] != bytes[other.lowerBound + offset] {
            return false
        }
        return true
    }

    /// Multiplies and folds eight bytes at a time.
    static func hash(_ text: borrowing Span<UInt8>, _ range: Range<Int>, seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(truncatingIfNeeded: range.count)
        var index = range.lowerBound
        let raw = text.bytes
        while index + 8 <= range.upperBound {
            hash = mixed(hash ^ raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
            index += 8
        }
        var rest: UInt64 = 0
        while index < range.upperBound {
            rest = rest << 8 | UInt64(text[index])
            index += 1
        }
        return mixed(hash ^ rest)
    }

    @inline(__always)
    static func mixed(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}
