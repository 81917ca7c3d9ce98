import EngineProtocol
import Glibc
import Platform

/// One run: a call for each of its inputs, whose events become one callback after the other on this thread.
///
/// With several inputs a callback tells of all of them: the first token of each, then the second, and so on, however the
/// engine has computed them.
struct BatchRun {
    enum Outcome: Equatable {
        case finished
        case paused
        case aborted
        case failed(String)
    }

    private let worker: ModelWorker
    private let columns: Int
    private let callback: RunCallback
    private let userdata: UnsafeMutableRawPointer?
    private(set) var elements: [RunElement]
    private var outcome = Outcome.finished
    private var isEnding = false
    private var deadline: UInt64?

    /// - Parameter columns: of rows, if the requests ask for them.
    init(
        _ requests: [GenerateRequest], worker: ModelWorker, columns: Int, callback: RunCallback, userdata: UserData
    ) {
        self.worker = worker
        self.columns = columns
        self.callback = callback
        self.userdata = userdata.pointer ?? callback.userdata.pointer
        elements = requests.map { RunElement($0) }
    }

    /// Returns when the last callback has.
    ///
    /// - Parameter file: goes with the first request.
    mutating func run(file: consuming FileDescriptor?) -> Outcome {
        elements[0].call = worker.start(.generate(elements[0].request), file: file)
        for place in elements.indices.dropFirst() {
            elements[place].call = worker.start(.generate(elements[place].request))
        }
        while elements.contains(where: \.isOpen) {
            let news = worker.next(knowsOfAbort: isEnding, deadline: deadline)
            if news.isAborted { end(as: .aborted) }
            for (call, event) in news.events { take(event, of: call) }
            tellTokens()
            if let end = news.end, elements.contains(where: \.isOpen) {
                outcome = .failed(end)
                break
            }
            if let deadline, MonotonicClock.now() >= deadline {
                self.deadline = nil
                worker.end(because: "an aborted run did not end")
            }
        }
        tellEnd()
        return outcome
    }

    /// Ends all calls; what they still say is not told.
    private mutating func end(as outcome: Outcome) {
        guard !isEnding else { return }
        isEnding = true
        self.outcome = outcome
        for element in elements where element.isOpen {
            worker.send(outcome == .paused ? .pause : .cancel, call: element.call)
        }
        if outcome != .paused { deadline = MonotonicClock.now() + RKLLMLibraryLimits.abortNanoseconds }
    }

    // MARK: What the engine says

    private mutating func take(_ event: EngineEvent, of call: CallID) {
        guard let place = elements.firstIndex(where: { $0.isOpen && $0.call == call }) else { return }
        switch event {
        case .accepted(let promptTokens, _): elements[place].accepted(promptTokens: promptTokens)
        case .started(let cachedTokens): elements[place].started(cachedTokens: cachedTokens)
        case .tokens(let chunk): elements[place].add(chunk)
        case .tensor(let chunk): take(chunk, place)
        case .finished(let usage, let timings): elements[place].finished(usage, timings)
        case .failed(let error): failed(error, place)
        case .choiceFinished(_, .stop): elements[place].stopped()
        case .choiceFinished, .result, .statistics: break
        }
    }

    private mutating func take(_ chunk: TensorChunk, _ place: Int) {
        let element = elements[place]
        if element.rows == nil {
            guard let rows = RowBuffer(rows: Int(element.promptTokens), columns: columns) else {
                return end(as: .failed("there is no memory for \(element.promptTokens) rows of \(columns) numbers"))
            }
            elements[place].rows = rows
        }
        guard elements[place].rows?.add(chunk) == true else {
            return end(as: .failed("the engine sent rows that nobody asked for"))
        }
        worker.send(.credit(bytes: UInt32(clamping: chunk.tensor.byteCount)), call: element.call)
    }

    private mutating func failed(_ error: EngineError, _ place: Int) {
        // `max_new_tokens` is a most: where the context is full before, the answer ends there. Only the worker can count a
        // prompt, so the call is sent again.
        if case .contextLengthExceeded(let limit, let prompt, let requested) = error, prompt < limit, !isEnding,
            requested > limit - prompt, elements[place].request.maximumTokens ?? 0 > limit - prompt
        {
            elements[place].request.maximumTokens = limit - prompt
            elements[place].call = worker.start(.generate(elements[place].request))
            return
        }
        elements[place].isOpen = false
        if error != .cancelled || !isEnding { end(as: .failed(error.text)) }
    }

    // MARK: What the program is told

    /// Tells what is there of every input; nothing more once the run was aborted, be it by the callback itself.
    private mutating func tellTokens() {
        while !isEnding, !worker.isAborted, elements.contains(where: \.hasWaiting), elements.allSatisfy(\.isReady) {
            var tokens: [RunElement.Token?] = []
            for place in elements.indices { tokens.append(elements[place].next()) }
            let isText = tokens.contains { $0?.text.isEmpty == false }
            guard tell(tokens, isText ? .normal : .waiting) == RunCallback.pauses else { continue }
            for place in elements.indices { elements[place].isPaused = tokens[place] != nil }
            end(as: .paused)
        }
    }

    private mutating func tellEnd() {
        switch outcome {
        case .paused: break
        case .failed: _ = tell(elements.map { _ in nil }, .error)
        case .finished, .aborted:
            if outcome == .finished, elements.contains(where: { $0.rows != nil }) { tellRows() }
            let memory = worker.peakMemory
            _ = tell(elements.map { _ in nil }, .finish) { element, result in
                result.performance = element.performance(peakMemory: memory)
            }
        }
    }

    private mutating func tellRows() {
        let answer = tell(elements.map { _ in nil }, .normal) { element, result in
            switch element.request.tensors?.kind {
            case .hiddenStates: result.hiddenStates = element.rows?.matrix
            case .logits: result.logits = element.rows?.matrix
            case nil: break
            }
        }
        // Else they last until the last callback has returned, which is what programs were told.
        if answer == RunCallback.freesRows { for place in elements.indices { elements[place].rows = nil } }
    }

    private func tell(
        _ tokens: [RunElement.Token?], _ state: RunResult.State,
        more: (RunElement, inout RunResult) -> Void = { _, _ in }
    ) -> Int32 {
        var texts: [UnsafeMutablePointer<CChar>] = []
        defer { for text in texts { free(text) } }
        var results: [RunResult] = []
        for (token, element) in zip(tokens, elements) {
            // No text is an empty one: older programs print it without a look.
            guard let text = strdup(token?.text ?? "") else { return 0 }
            texts.append(text)
            var result = RunResult(text: text)
            if let token { result.token = token.id }
            more(element, &result)
            results.append(result)
        }
        return callback.call(results, userdata, state)
    }
}
