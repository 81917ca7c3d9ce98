import EngineProtocol
import JSON
public import NativeEngine

/// Takes tool calls out of a text: JSON objects between `<tool_call>` and `</tool_call>`.
///
/// A call leaves as one part with its whole JSON, without the white space around it, once its closing tag is there. What
/// may be the beginning of a tag is held back; what turns out to be no call (invalid JSON, no closing tag, too long)
/// leaves as content with its tags, so that nothing is lost. A closing tag in a JSON string is part of the string.
public struct ToolCallSplitter: Sendable {
    private enum Place: Sendable {
        case content
        case call
        /// In a string of a call.
        case string(isEscaped: Bool)
    }

    private var place = Place.content
    private var opening = StopMatcher([ToolCallTag.opening])
    private var closing = StopMatcher([ToolCallTag.closing])
    /// Content that may be the beginning of a tag, or a call without its opening tag.
    private var held: [UInt8] = []
    private let limits: JSONLimits

    public init(limits: WorkerLimits = WorkerLimits()) {
        self.limits = JSONLimits(depth: 64, bytes: limits.toolCallBytes, values: limits.toolCallBytes)
    }

    /// Bytes that were taken and not given out.
    public var heldBytes: Int { held.count + (isInCall ? ToolCallTag.opening.utf8.count : 0) }

    private var isInCall: Bool { if case .content = place { false } else { true } }

    /// Takes text of any length, cut anywhere.
    public mutating func append(_ text: String, to output: inout ChoiceOutput) {
        for byte in text.utf8 {
            held.append(byte)
            switch place {
            case .content:
                guard let length = opening.advance(byte) else { continue }
                held.removeLast(length)
                release(held.count, to: &output)
                (place, closing) = (.call, StopMatcher([ToolCallTag.closing]))
            case .call:
                if byte == UInt8(ascii: "\"") { place = .string(isEscaped: false) }
                if let length = closing.advance(byte) { endCall(tag: length, to: &output) }
            case .string(isEscaped: true): place = .string(isEscaped: false)
            case .string(isEscaped: false):
                if byte == UInt8(ascii: "\\") { place = .string(isEscaped: true) }
                if byte == UInt8(ascii: "\"") { place = .call }
            }
            if isInCall, held.count > limits.bytes { giveUp(to: &output) }
        }
        if !isInCall { release(held.count - opening.heldBack, to: &output) }
    }

    /// Gives out what was held back: nothing follows.
    public mutating func flush(to output: inout ChoiceOutput) {
        if isInCall { giveUp(to: &output) } else { release(held.count, to: &output) }
    }

    private mutating func endCall(tag length: Int, to output: inout ChoiceOutput) {
        let json = Self.trimmed(held.dropLast(length))
        guard (try? JSONValue.parse(json, limits: limits))?.objectValue != nil else {
            return giveUp(to: &output)
        }
        output.add(String(decoding: json, as: UTF8.self), kind: .toolCall)
        held.removeAll(keepingCapacity: true)
        place = .content
    }

    /// Without the white space that JSON allows around a document.
    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        let isSpace: (UInt8) -> Bool = { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
        guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) })
        else { return [] }
        return [UInt8](bytes[first...last])
    }

    /// The call is none.
    private mutating func giveUp(to output: inout ChoiceOutput) {
        output.add(ToolCallTag.opening)
        place = .content
        release(held.count, to: &output)
    }

    private mutating func release(_ count: Int, to output: inout ChoiceOutput) {
        guard count > 0 else { return }
        output.add(String(decoding: held[..<count], as: UTF8.self))
        held.removeFirst(count)
    }
}
