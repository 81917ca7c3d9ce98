/// Makes the text of one choice from the bytes of its tokens.
///
/// What comes out is always valid UTF-8 and never has a part of a stop string: incomplete characters and possible
/// beginnings of stop strings are held back until more bytes decide, or until the end. Bytes that are no UTF-8 become
/// U+FFFD. However the bytes are cut into tokens, the text in sum is the same: everything before the first stop string
/// that is complete.
public struct TextAssembler: Sendable {
    private var stops: StopMatcher
    /// Bytes that are not given out yet.
    private var pending: [UInt8] = []
    /// Bytes from the stop string on.
    private var cutBytes = 0

    public var withheldBytes: Int { pending.count + cutBytes }

    public init(stopStrings: [String]) { stops = StopMatcher(stopStrings) }

    /// Takes the bytes of a token, gives out the text that is certain, and tells whether a stop string is complete.
    public mutating func append(_ bytes: [UInt8], to text: inout String) -> Bool {
        if stops.isEmpty {
            pending += bytes
        } else {
            for (index, byte) in bytes.enumerated() {
                pending.append(byte)
                guard let length = stops.advance(byte) else { continue }
                pending.removeLast(length)
                cutBytes = length + bytes.count - index - 1
                flush(to: &text)
                return true
            }
        }
        release(UTF8Boundary.completePrefix(of: pending[..<(pending.count - stops.heldBack)]), to: &text)
        return false
    }

    /// Gives out what was held back: no stop string and no rest of a character will come.
    public mutating func flush(to text: inout String) { release(pending.count, to: &text) }

    private mutating func release(_ count: Int, to text: inout String) {
        guard count > 0 else { return }
        text += String(decoding: pending[..<count], as: UTF8.self)
        pending.removeFirst(count)
    }
}

/// Where a text in UTF-8 may be cut.
enum UTF8Boundary {
    /// The length of `bytes` without a character at its end whose other bytes may still come.
    static func completePrefix(of bytes: ArraySlice<UInt8>) -> Int {
        // Of a character that is not complete, at most three bytes are there.
        for length in 1...3 where length <= bytes.count {
            let tail = bytes.suffix(length)
            guard let first = tail.first, first & 0xC0 != 0x80 else { continue }
            return isIncomplete(tail) ? bytes.count - length : bytes.count
        }
        return bytes.count
    }

    /// True if the bytes begin a character (the Unicode Standard, table 3-7) and more bytes must follow.
    private static func isIncomplete(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first else { return false }
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0...0xEF:
            length = 3
            if first == 0xE0 { second = 0xA0...0xBF }
            if first == 0xED { second = 0x80...0x9F }
        case 0xF0...0xF4:
            length = 4
            if first == 0xF0 { second = 0x90...0xBF }
            if first == 0xF4 { second = 0x80...0x8F }
        default: return false
        }
        let rest = bytes.dropFirst()
        return bytes.count < length && rest.first.map(second.contains) ?? true
    }
}
