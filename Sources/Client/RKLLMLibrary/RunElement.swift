import EngineProtocol
import Platform

/// One input of a run on its way: its call, and what of its answer the program has not been told.
struct RunElement {
    struct Token {
        var id: Int32
        /// Empty where the bytes are not a whole character yet.
        var text: String
        /// False for the rest of a text that comes after its last token.
        var isNew = true
    }

    var request: GenerateRequest
    var call = CallID.link
    var isOpen = true
    var rows: RowBuffer?
    /// The program paused when it was told of a token of this input.
    var isPaused = false
    private(set) var promptTokens: UInt32 = 0
    /// Tokens that the engine has told of, and those of them that the program has.
    private(set) var generated = 0
    private(set) var told = 0
    private var waiting: [Token] = []
    private var lastToken = RunResult.noToken
    private var usage: Usage?
    private var timings: Timings?
    // The library's own clock, for runs that do not come to their end.
    private var cachedTokens: UInt32 = 0
    private var startedAt: UInt64 = 0
    private var firstTokenAt: UInt64 = 0
    private var lastTokenAt: UInt64 = 0

    init(_ request: GenerateRequest) { self.request = request }

    /// Whether there is something to tell, or nothing will come any more.
    var isReady: Bool { !waiting.isEmpty || !isOpen }
    var hasWaiting: Bool { !waiting.isEmpty }

    mutating func accepted(promptTokens: UInt32) { self.promptTokens = promptTokens }

    mutating func started(cachedTokens: UInt32) {
        self.cachedTokens = cachedTokens
        startedAt = MonotonicClock.now()
    }

    mutating func add(_ chunk: TokenChunk) {
        lastTokenAt = MonotonicClock.now()
        if generated == 0 { firstTokenAt = lastTokenAt }
        generated += chunk.ids.count
        let text = chunk.kind == .toolCall ? "<tool_call>\(chunk.text)</tool_call>" : chunk.text
        // Only the last token of a chunk has completed its text.
        for id in chunk.ids.dropLast() { waiting.append(Token(id: id, text: "")) }
        if let last = chunk.ids.last {
            lastToken = last
            waiting.append(Token(id: last, text: text))
        } else if !text.isEmpty {
            waiting.append(Token(id: lastToken, text: text, isNew: false))
        }
    }

    /// The token that ended the answer is no part of it.
    mutating func stopped() {
        if waiting.last?.text.isEmpty == true { waiting.removeLast() }
    }

    mutating func finished(_ usage: Usage, _ timings: Timings) {
        (self.usage, self.timings) = (usage, timings)
        isOpen = false
    }

    /// The next token to tell of.
    mutating func next() -> Token? {
        guard !waiting.isEmpty else { return nil }
        let token = waiting.removeFirst()
        if token.isNew { told += 1 }
        return token
    }

    func performance(peakMemory: Float) -> RunResult.Performance {
        let prompt = usage?.promptTokens ?? promptTokens
        let cached = min(prompt, usage?.cachedTokens ?? cachedTokens)
        let prefill = timings?.prefill ?? (firstTokenAt > startedAt ? firstTokenAt - startedAt : 0)
        let decode = timings?.decode ?? (lastTokenAt - firstTokenAt)
        return RunResult.Performance(
            prefillMilliseconds: Float(prefill) / 1e6, prefillTokens: Int32(clamping: prompt - cached),
            generateMilliseconds: Float(decode) / 1e6,
            generateTokens: Int32(clamping: usage.map { Int($0.completionTokens) } ?? generated),
            memoryMebibytes: peakMemory)
    }
}
