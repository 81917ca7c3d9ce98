import EngineProtocol
import JSON
import Tokenizers

/// Inputs of generations that belong to a session.
///
/// A chat in a session brings its new messages alone. What stands before them is in the session as tokens, and they
/// are what the model goes on after, whatever a template would make of the earlier messages now.
extension LoadedModel {
    /// Checks what a generation wants of its session, and puts the input after what the session holds.
    ///
    /// - Parameter file: where the prompt's cache is written.
    func sessionRun(
        of request: GenerateRequest, _ turn: SessionTable.EngineSession.Turn, file: SessionFile?
    ) throws(EngineError) -> SessionRun {
        guard let input = request.inputs.first else { preconditionFailure("a checked request has an input") }
        let isAlone = request.inputs.count == 1 && request.choices == 1
        try check(
            isAlone || !turn.use.keepsHistory && !turn.use.savesCache && turn.paused == nil && input != .resumed, "n",
            "\(request.inputs.count) inputs with \(request.choices) choices each: a generation that keeps its session's "
                + "history, goes on after a pause, or saves its prompt cache has one of each")
        let save = turn.use.savesCache ? try saveTarget(file) : nil
        let run =
            input == .resumed
            ? try resumption(of: request, turn, save: save)
            : SessionRun(
                use: turn.use, revision: turn.revision, history: try history(turn.history, followedBy: input),
                resumed: nil, firstRow: turn.history.positions, cacheSalt: turn.cacheSalt, save: save)
        try check(
            save == nil || run.history.prompt.rows.isEmpty, "prompt_cache",
            "a prompt with rows in the place of tokens cannot be saved: nothing tells what it was")
        return run
    }

    private func saveTarget(_ file: SessionFile?) throws(EngineError) -> CacheSave.Target {
        guard let file else {
            throw .invalidRequest(parameter: "prompt_cache", message: "no file came to save the prompt cache in")
        }
        return CacheSave.Target(file: file, identity: try promptCacheIdentity())
    }

    private func resumption(
        of request: GenerateRequest, _ turn: SessionTable.EngineSession.Turn, save: CacheSave.Target?
    ) throws(EngineError) -> SessionRun {
        guard let paused = turn.paused else {
            throw SessionTable.EngineSession.refusal(turn.use.id, "has no paused answer to resume")
        }
        try check(turn.history.positions > 0, "prompt", "all positions were cleared, so no answer can go on")
        try check(
            request.maximumTokens != nil || paused.choice.tokensLeft > 0 || request.tensors != nil, "max_tokens",
            "max_tokens is 0, the least is 1")
        var history = turn.history
        history.conversation = paused.conversation
        return SessionRun(
            use: turn.use, revision: turn.revision, history: history, resumed: paused.choice,
            firstRow: paused.choice.nextRow, cacheSalt: turn.cacheSalt, save: save)
    }

    private func history(
        _ history: SessionHistory, followedBy input: GenerateRequest.Input
    ) throws(EngineError) -> SessionHistory {
        if case .chat(let chat) = input { return try self.history(history, followedBy: chat) }
        var history = history
        history.prompt.append(try prompt(of: input, field: "prompt", isBeginning: history.positions == 0))
        history.conversation = nil
        return history
    }

    // MARK: Chats

    /// As tokens of the whole conversation where its text goes on from what the positions hold; else the new messages,
    /// rendered alone, follow what is there.
    private func history(
        _ history: SessionHistory, followedBy chat: ChatInput
    ) throws(EngineError) -> SessionHistory {
        let messages = try messages(of: chat)
        var history = history
        if history.positions == 0 { history.systemPrompt = Self.systemPrompt(of: chat, messages: messages) }
        if let whole = try wholeConversation(history, chat, messages: messages) { return whole }
        let text = try renderAlone(chat, messages: messages, after: history)
        var tokens = try encode(text)
        if history.positions > 0, let bos = try requireTokenizer().bos, tokens.first == bos { tokens.removeFirst() }
        history.prompt.append(Prompt(tokens: tokens))
        history.conversation = history.conversation.map {
            $0.continued(chat, messages: messages, text: $0.text + Array(text.utf8))
        }
        return history
    }

    /// Nil where the template writes the earlier messages otherwise than they were said, or refuses them.
    private func wholeConversation(
        _ history: SessionHistory, _ chat: ChatInput, messages: [JSONValue]
    ) throws(EngineError) -> SessionHistory? {
        let start = history.positions == 0 ? Conversation(messages: [], text: [], toolsJSON: nil, messageBytes: 0) : nil
        guard let conversation = history.conversation ?? start else { return nil }
        let text: String
        do throws(EngineError) {
            text = try renderTemplate(chat, messages: .array(conversation.messages + messages))
        } catch {
            // It may be the new messages' fault, or that of an answer.
            if conversation.messages.isEmpty { throw error }
            return nil
        }
        let bytes = Array(text.utf8)
        guard bytes.starts(with: conversation.text) else { return nil }
        let tokens = try encode(text)
        var history = history
        let added: [Int32]
        if tokens.starts(with: history.prompt.tokens) {
            added = Array(tokens[history.positions...])
        } else {
            let rest = bytes[conversation.text.count...]
            let same = try suffix(of: tokens, writing: rest)
            added = if let same { same } else { try encode(String(decoding: rest, as: UTF8.self)) }
        }
        history.prompt.append(Prompt(tokens: added))
        history.conversation = conversation.continued(chat, messages: messages, text: bytes)
        return history
    }

    /// The last tokens, if they write just these bytes: the tokens before them may be others than were said.
    private func suffix(of tokens: [Int32], writing bytes: ArraySlice<UInt8>) throws(EngineError) -> [Int32]? {
        let tokenizer = try requireTokenizer()
        var left = bytes
        for index in tokens.indices.reversed() {
            if left.isEmpty { return Array(tokens[(index + 1)...]) }
            let written = tokenizer.bytes(of: tokens[index], renderSpecial: true)
            guard left.suffix(written.count).elementsEqual(written) else { return nil }
            left = left.dropLast(written.count)
        }
        return left.isEmpty ? tokens : nil
    }

    /// The tools are not told again where the model knows them.
    private func renderAlone(
        _ chat: ChatInput, messages: [JSONValue], after history: SessionHistory
    ) throws(EngineError) -> String {
        var chat = chat
        if let known = history.conversation?.toolsJSON, known == chat.toolsJSON { chat.toolsJSON = nil }
        return try renderTemplate(chat, messages: .array(messages))
    }

    private func encode(_ text: String) throws(EngineError) -> [Int32] {
        try checkBytes(text.utf8.count, field: "messages", limit: limits.promptBytes)
        return try encode(text, with: try requireTokenizer(), field: "messages", parseSpecial: true)
    }

    private func messages(of chat: ChatInput) throws(EngineError) -> [JSONValue] {
        let value = try Self.json(chat.messagesJSON, field: "messages")
        guard let messages = value.arrayValue else {
            throw .invalidRequest(parameter: "messages", message: "messages is a \(value.typeName), not an array")
        }
        return messages
    }

    // MARK: System prompts

    /// The chat with nothing but the messages at its beginning that are no user's; nil if there are none.
    private static func systemPrompt(of chat: ChatInput, messages: [JSONValue]) -> ChatInput? {
        let system = messages.prefix { ["system", "developer"].contains($0["role"]?.stringValue) }
        guard !system.isEmpty else { return nil }
        var chat = chat
        chat.messagesJSON = JSONValue.array(Array(system)).serializedText
        chat.addGenerationPrompt = false
        return chat
    }

    /// What is left of a history when all but its system prompt is forgotten.
    ///
    /// The messages of it stay in any case, so that the next chat begins with them. Of the positions those stay that
    /// are the same in the prompt alone: none where the template does not write it without a user's message.
    func systemPrompt(of history: SessionHistory) -> SessionHistory {
        var kept = SessionHistory()
        guard let chat = history.systemPrompt, let messages = try? messages(of: chat) else { return kept }
        kept.systemPrompt = chat
        var text: [UInt8] = []
        if let rendered = try? renderTemplate(chat), let tokens = try? encode(rendered) {
            let count = zip(tokens, history.prompt.tokens).prefix { $0 == $1 }.count
            let rest = tokens[count...].flatMap(writtenBytes)
            if history.prompt.rows.isEmpty, Array(rendered.utf8).suffix(rest.count).elementsEqual(rest) {
                kept.prompt = Prompt(tokens: Array(tokens[..<count]))
                text = rendered.utf8.dropLast(rest.count)
            }
        }
        kept.conversation = Conversation(
            messages: messages, text: text, toolsJSON: chat.toolsJSON, messageBytes: chat.messagesJSON.utf8.count)
        return kept
    }
}
