/// What a worker's threads were doing at its end, from the text that its crash handler wrote.
///
/// The form is told beside `apus_crash_install`. A worker that crashed may have written anything, so a line of another
/// form is skipped, and everything is bounded.
struct CrashRecord: Sendable {
    /// Threads with the same stack: mostly those that wait for work.
    struct Stack: Equatable, Sendable {
        /// Number and name.
        var threads: [String]
        /// The signal of a crash; nil where the supervisor asked.
        var signal: Int32?
        /// Of a fault.
        var address: UInt64?
        /// Module and offset, the innermost first.
        var frames: [String] = []
    }

    static let byteLimit = 512 << 10
    static let stackLimit = 64
    static let frameLimit = 68
    static let lineLimit = 96

    private var bytes: [UInt8] = []
    private let dumpSignal: Int32

    /// - Parameter dumpSignal: what the supervisor asks with.
    init(dumpSignal: Int32) { self.dumpSignal = dumpSignal }

    mutating func append(_ more: ArraySlice<UInt8>) {
        bytes += more.prefix(Self.byteLimit - bytes.count)
    }

    /// The stacks; that of a crash comes first.
    var stacks: [Stack] {
        var stacks: [Stack] = []
        for line in bytes.split(separator: 0x0A) where line.count <= Self.lineLimit && line.allSatisfy(Self.isPlain) {
            let text = String(decoding: line, as: UTF8.self)
            if let stack = thread(text) {
                stacks.append(stack)
            } else if Self.isFrame(text), let last = stacks.indices.last, stacks[last].frames.count < Self.frameLimit {
                stacks[last].frames.append(text)
            }
        }
        return Self.joined(stacks)
    }

    private static func joined(_ stacks: [Stack]) -> [Stack] {
        var joined: [Stack] = []
        for stack in stacks {
            let same = joined.firstIndex { $0.signal == nil && stack.signal == nil && $0.frames == stack.frames }
            if let same {
                joined[same].threads += stack.threads
            } else if joined.count < stackLimit {
                joined.append(stack)
            }
        }
        return joined.filter { $0.signal != nil } + joined.filter { $0.signal == nil }
    }

    /// Reads `thread NUMBER SIGNAL ADDRESS NAME`.
    private func thread(_ line: String) -> Stack? {
        let words = line.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false)
        guard words.count == 5, words[0] == "thread", let number = UInt32(words[1]), let signal = Int32(words[2]),
            let address = UInt64(words[3], radix: 16)
        else { return nil }
        return Stack(
            threads: ["\(number) \(words[4])"], signal: signal == dumpSignal ? nil : signal,
            address: address == 0 ? nil : address)
    }

    /// Whether it is `MODULE+0xOFFSET`, with `~` before it where it was found by a search.
    private static func isFrame(_ line: String) -> Bool {
        guard let plus = line.lastIndex(of: "+"), line.first != "+" else { return false }
        let offset = line[line.index(after: plus)...]
        return offset.hasPrefix("0x") && UInt64(offset.dropFirst(2), radix: 16) != nil
    }

    private static func isPlain(_ byte: UInt8) -> Bool { (0x20..<0x7F).contains(byte) }
}
