import EngineProtocol

/// What a door has got of an answer, so that another run of the same request can go on from there.
///
/// Answers are a function of request and seed, so another run makes the same text; it may only come in other pieces.
/// What was delivered is left out, and compared: a run that says something else is found out before a word of it is
/// sent.
struct DeliveredAnswer: Sendable {
    enum Outcome: Equatable {
        /// New to the door: the event, or what is left of it.
        case new(EngineEvent)
        case known
        /// This run's answer is another one.
        case differs
    }

    private struct Choice {
        var text: [UInt8] = []
        var tokens = 0
        var logProbabilities = 0
        var reason: FinishReason?
    }

    /// How far the present run has come.
    private struct Place {
        var bytes = 0
        var tokens = 0
        var logProbabilities = 0
    }

    private var choices: [UInt32: Choice] = [:]
    private var places: [UInt32: Place] = [:]

    mutating func beginRun() { places = [:] }

    mutating func take(_ event: EngineEvent) -> Outcome {
        switch event {
        case .tokens(let chunk): take(chunk)
        case .choiceFinished(let choice, let reason): finish(choice, reason)
        case .finished: isWhole ? .new(event) : .differs
        case .accepted, .started, .tensor, .failed, .result, .statistics: .new(event)
        }
    }

    private mutating func take(_ chunk: TokenChunk) -> Outcome {
        // Taken out, so that its text grows in place.
        var choice = choices.removeValue(forKey: chunk.choice) ?? Choice()
        defer { choices[chunk.choice] = choice }
        var place = places[chunk.choice] ?? Place()
        let text = Array(chunk.text.utf8)
        let known = min(text.count, choice.text.count - place.bytes)
        guard choice.text[place.bytes..<place.bytes + known].elementsEqual(text[..<known]) else { return .differs }
        if choice.reason != nil, known < text.count { return .differs }
        let knownTokens = min(chunk.ids.count, choice.tokens - place.tokens)
        let knownEntries = min(chunk.logProbabilities.count, choice.logProbabilities - place.logProbabilities)

        place.bytes += text.count
        place.tokens += chunk.ids.count
        place.logProbabilities += chunk.logProbabilities.count
        choice.text += text[known...]
        choice.tokens = max(choice.tokens, place.tokens)
        choice.logProbabilities = max(choice.logProbabilities, place.logProbabilities)
        places[chunk.choice] = place

        guard known > 0 || knownTokens > 0 || knownEntries > 0 else { return .new(.tokens(chunk)) }
        var rest = chunk
        // What was delivered ends with a whole character, and these are the same bytes.
        rest.text = String(decoding: text[known...], as: UTF8.self)
        rest.ids.removeFirst(knownTokens)
        rest.logProbabilities.removeFirst(knownEntries)
        return rest.text.isEmpty && rest.ids.isEmpty && rest.logProbabilities.isEmpty ? .known : .new(.tokens(rest))
    }

    private mutating func finish(_ index: UInt32, _ reason: FinishReason) -> Outcome {
        let choice = choices[index] ?? Choice()
        guard choice.text.count == places[index]?.bytes ?? 0 else { return .differs }
        if let known = choice.reason { return known == reason ? .known : .differs }
        choices[index, default: choice].reason = reason
        return .new(.choiceFinished(choice: index, reason: reason))
    }

    /// Whether this run has said everything that was delivered.
    private var isWhole: Bool { choices.allSatisfy { $0.value.text.count == places[$0.key]?.bytes ?? 0 } }
}
