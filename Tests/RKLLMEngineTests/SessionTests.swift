import EngineProtocol
import RKLLMEngine
import TestSupport
import Testing

/// Histories, pauses and prompt caches: what a session has in the runtime's one cache.
@Suite struct SessionTests {
    private static func isDisplaced(_ error: EngineError?) -> Bool {
        if case .unsupported(let feature)? = error { feature.hasPrefix("going on with this session") } else { false }
    }

    @Test(arguments: [120, 121, 130])
    func `a session goes on in the runtime's cache, and begins anew when it is cleared`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "system 2\nsay Good\nsay \\_day")
        let id = try harness.open(7)
        for text in ["How do you do", "And now"] {
            #expect(try harness.run(harness.turn(text, in: id)).text == "Good day")
        }
        let keeps = harness.told.filter { $0.hasPrefix("run keep=") }
        #expect(keeps.count == 2 && keeps.allSatisfy { $0.hasPrefix("run keep=1") })
        #expect(!harness.told.contains { $0.hasPrefix("clear") })
        #expect(
            try harness.change(id, .clear(keepsSystemPrompt: true))
                == SessionState(positions: 0))
        #expect(harness.told.contains("clear keep_system_prompt=1"))
        #expect(try harness.run(harness.turn("Again", in: id)).text == "Good day")
        _ = try harness.engine.closeSession(id)
        #expect(throws: EngineError.self) { try harness.run(harness.turn("Closed", in: id)) }
    }

    /// The history is in a prompt's length, whichever of the two is longer.
    @Test(arguments: [121, 130]) func `prompt and answer together are the positions that the runtime counts`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "delay 1\non long many 1000 a\nsay Good\nsay \\_day")
        let id = try harness.open(1)
        func run(_ text: String, _ prompt: UInt32, after history: UInt32) throws {
            let events = try harness.run(harness.turn(text, in: id))
            #expect(
                events.starts(with: [
                    .accepted(promptTokens: history, queuePosition: 0),
                    .started(cachedTokens: history),
                ]))
            #expect(events.usage == Usage(promptTokens: prompt, completionTokens: 2, cachedTokens: history))
            #expect(try harness.change(id, .releaseCache) == SessionState(positions: prompt + 2))
        }
        try run("one", 1, after: 0)
        try run("one two three four five six", 9, after: 3)
        try run("seven", 12, after: 11)
        #expect(try harness.change(id, .clear(keepsSystemPrompt: false)) == SessionState())
        try run("one two", 2, after: 0)
        let call = try harness.submit(harness.turn("long", in: id))
        let begun = try harness.events(of: call) { !$0.text.isEmpty }
        #expect(begun.contains(.started(cachedTokens: 4)))
        harness.engine.cancel(call)
        #expect(try harness.finished(call).failure == .cancelled)
        // The session cannot go on with it.
        #expect(try harness.change(id, .releaseCache) == SessionState())
        #expect(Self.isDisplaced(try harness.run(harness.turn("More", in: id)).failure))
        #expect(try harness.change(id, .clear(keepsSystemPrompt: false)) == SessionState())
        try run("one two three", 3, after: 0)
    }

    @Test func `where the runtime tells no length, a history is what was counted`() throws {
        let harness = try RuntimeHarness(120, "say Good\nsay \\_day")
        let id = try harness.open(1)
        var ids = harness.turn("", in: id)
        ids.inputs = [.ids([1, 2, 3])]
        #expect(try harness.run(ids).usage == Usage(promptTokens: 3, completionTokens: 2, cachedTokens: 0))
        #expect(try harness.run(ids).usage == Usage(promptTokens: 8, completionTokens: 2, cachedTokens: 5))
        let text = try harness.run(harness.turn("four five", in: id))
        #expect(text.usage == Usage(promptTokens: 10, completionTokens: 2, cachedTokens: 10))
    }

    @Test(arguments: [121, 130]) func `an answer that fills the context behind its history has reached the limit`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "many 5 a", context: 16)
        let id = try harness.open(1)
        #expect(try harness.run(harness.turn("one two three", in: id)).reasons == [.stop])
        #expect(try harness.run(harness.turn("four five six", in: id)).reasons == [.length])
    }

    @Test(arguments: [120, 121, 130]) func `a history that another call displaced is refused in words`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "on boom fail\nsay Good")
        let first = try harness.open(1), second = try harness.open(2)
        let others: [GenerateRequest] = [
            harness.turn("Hello", in: second), harness.ask("Hello"), GenerateRequest(inputs: [.ids([1])]),
            GenerateRequest(inputs: [.text("raw")]), harness.turn("boom", in: first),
        ]
        for other in others {
            #expect(try harness.run(harness.turn("Hello", in: first)).text == "Good")
            _ = try harness.run(other)
            #expect(Self.isDisplaced(try harness.run(harness.turn("More", in: first)).failure))
            #expect(try harness.change(first, .clear(keepsSystemPrompt: false)) == SessionState())
        }
        // Without a history it begins anew, whoever was there before.
        let alone = harness.turn("Hello", in: first, keepsHistory: false)
        #expect(try harness.run(alone).text == "Good")
        #expect(try harness.run(alone).text == "Good")
    }

    @Test(arguments: [120, 121, 130]) func `an answer that was cut leaves no history behind`(family: Int) throws {
        let harness = try RuntimeHarness(family, "delay 1\nmany 1000 a")
        let id = try harness.open(1)
        let call = try harness.submit(harness.turn("Hello", in: id))
        _ = try harness.events(of: call) { !$0.text.isEmpty }
        harness.engine.cancel(call)
        #expect(Self.isDisplaced(try harness.run(harness.turn("More", in: id)).failure))
    }

    @Test(arguments: [110, 120]) func `families without pauses answer to the end`(family: Int) throws {
        let harness = try RuntimeHarness(family, "delay 5\nmany 20 a")
        let id = try harness.open(1)
        let call = try harness.submit(harness.turn("Hello", in: id, keepsHistory: false))
        harness.engine.pause(call)
        #expect(try harness.finished(call).reasons == [.stop])
        var resumed = GenerateRequest(inputs: [.resumed])
        resumed.session = SessionUse(id: id)
        #expect(throws: EngineError.unsupported(feature: "pausing with runtime \(harness.engine.family.rawValue)")) {
            try harness.run(resumed)
        }
        #expect(throws: EngineError.self) { try harness.change(id, .clearRange(first: 0, end: 1)) }
        guard family == 110 else { return }
        #expect(throws: EngineError.unsupported(feature: "a session's history (keep_history) with runtime 1.1")) {
            try harness.run(harness.turn("Hello", in: id))
        }
    }

    @Test(arguments: [121, 130]) func `an answer is paused, and goes on as if it had not been`(family: Int) throws {
        let harness = try RuntimeHarness(family, "delay 2\nmany 300 a\nsay end")
        let id = try harness.open(1)
        let call = try harness.submit(harness.turn("one two", in: id, keepsHistory: false))
        _ = try harness.events(of: call) { $0.text.count > 3 }
        harness.engine.pause(call)
        let first = try harness.finished(call)
        #expect(first.reasons == [.paused])
        let positions = UInt32(2 + first.ids.count)
        #expect(
            first.usage
                == Usage(promptTokens: 2, completionTokens: UInt32(first.ids.count), cachedTokens: 0))
        #expect(try harness.change(id, .releaseCache) == SessionState(positions: positions, isPaused: true))
        // What follows the range moves up.
        #expect(try harness.change(id, .clearRange(first: 0, end: 2)).positions == positions - 2)
        for (begin, end) in [(UInt32(3), UInt32(3)), (4, 3), (0, positions)] {
            #expect(throws: EngineError.self) { try harness.change(id, .clearRange(first: begin, end: end)) }
        }
        var resumed = GenerateRequest(inputs: [.resumed])
        resumed.session = SessionUse(id: id)
        let rest = try harness.run(resumed)
        #expect(first.text + rest.text == String(repeating: "a", count: 300) + "end")
        #expect(first.ids + rest.ids == Array(100...400) && rest.reasons == [.stop])
        #expect(rest.usage?.promptTokens == positions - 2 && rest.usage?.cachedTokens == positions - 2)
        #expect(harness.told.contains("run goes on"))
        #expect(harness.told.contains("run tokens=1 first=\(first.ids.last ?? 0)"))
        #expect(!harness.told.contains { $0.hasPrefix("clear keep") })
        // Nothing is paused now.
        #expect(try harness.run(resumed).failure != nil)
        #expect(throws: EngineError.self) { try harness.change(id, .clearRange(first: 0, end: 1)) }
    }

    @Test(arguments: [121, 130]) func `a paused answer that another call displaced is refused in words`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "delay 2\non long many 300 a\nsay b")
        let id = try harness.open(1)
        let call = try harness.submit(harness.turn("long", in: id, keepsHistory: false))
        _ = try harness.events(of: call) { !$0.text.isEmpty }
        harness.engine.pause(call)
        #expect(try harness.finished(call).reasons == [.paused])
        _ = try harness.run(harness.ask("short"))
        var resumed = GenerateRequest(inputs: [.resumed])
        resumed.session = SessionUse(id: id)
        #expect(Self.isDisplaced(try harness.run(resumed).failure))
        #expect(throws: EngineError.self) { try harness.change(id, .clearRange(first: 0, end: 1)) }
        // The runtime pauses single turns only.
        let whole = try harness.submit(harness.turn("long", in: try harness.open(2)))
        harness.engine.pause(whole)
        #expect(try harness.finished(whole).reasons == [.stop])
    }

    @Test func `sessions are checked`() throws {
        let harness = try RuntimeHarness(130, "say a")
        let id = try harness.open(1)
        #expect(throws: EngineError.self) { try harness.engine.openSession(id) }
        #expect(throws: EngineError.self) { try harness.engine.closeSession(SessionID(rawValue: 2)) }
        #expect(throws: EngineError.self) { try harness.change(SessionID(rawValue: 2), .releaseCache) }
        #expect(throws: EngineError.self) { try harness.change(id, .loadCache) }
        #expect(throws: EngineError.self) { try harness.run(GenerateRequest(inputs: [.resumed])) }
        var several = harness.turn("Hello", in: id)
        several.choices = 2
        #expect(throws: EngineError.self) { try harness.run(several) }
        var turns = harness.ask("Hello", "a", "More")
        turns.session = SessionUse(id: id, keepsHistory: true)
        #expect(throws: EngineError.self) { try harness.run(turns) }
        var rows = GenerateRequest(inputs: [.ids([1])], maximumTokens: 0)
        rows.tensors = TensorRequest(kind: .hiddenStates, credit: 1)
        rows.session = SessionUse(id: id, keepsHistory: true)
        #expect(throws: EngineError.self) { try harness.run(rows) }
        for number in 2...UInt64(harness.engine.limits.sessions) { _ = try harness.open(number) }
        #expect(throws: EngineError.self) { try harness.engine.openSession(SessionID(rawValue: 1 << 32)) }
    }

    // MARK: Prompt caches

    @Test(arguments: FakeRuntime.families) func `a prompt's cache is saved, and found by prompts that begin like it`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say a")
        let id = try harness.open(1), file = try TestFile()
        var save = harness.turn("one two three", in: id, keepsHistory: false, savesCache: true)
        #expect(try harness.run(save, file: file.runtime).text == "a")
        #expect(harness.told.contains("run saves=1"))
        let saved = try file.content
        #expect(saved.starts(with: "APUSRKPC".utf8) && saved.count > 44)
        let state = try harness.change(id, .loadCache, file: file.runtime)
        #expect(state.cachedPositions == (family >= 121 ? 3 : 1))
        _ = try harness.run(harness.turn("one two three four", in: id, keepsHistory: false))
        #expect(harness.told.contains("run reuses 3"))
        // Another one takes its place, and none.
        #expect(try harness.change(id, .loadCache, file: file.runtime).cachedPositions > 0)
        #expect(try harness.change(id, .releaseCache).cachedPositions == 0)
        #expect(harness.told.count { $0 == "release_prompt_cache" } == 2)
        save.adapter = "x"
        #expect(throws: EngineError.self) { try harness.run(save, file: file.runtime) }
        save.adapter = nil
        #expect(throws: EngineError.self) { try harness.run(save) }
    }

    @Test(arguments: FakeRuntime.families) func `a prompt cache of another model, or one that was changed, is refused`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say a"), other = try RuntimeHarness(family, "say b")
        let id = try harness.open(1), file = try TestFile()
        _ = try harness.run(
            harness.turn("one two", in: id, keepsHistory: false, savesCache: true), file: file.runtime)
        func refusal(_ harness: RuntimeHarness, _ id: SessionID, _ file: TestFile) -> String {
            do {
                try harness.change(id, .loadCache, file: file.runtime)
                return "none"
            } catch EngineError.invalidRequest("prompt_cache", let message) {
                return message
            } catch {
                return "\(error)"
            }
        }
        #expect(refusal(other, try other.open(1), file).contains("another model"))
        let whole = try file.content
        for place in [9, 20, 30, whole.count - 1] {
            var changed = whole
            changed[place] ^= 1
            try file.replace(changed)
            #expect(refusal(harness, id, file).contains("cut or changed"))
        }
        try file.replace(Array(whole.dropLast()))
        #expect(refusal(harness, id, file).contains("cut"))
        #expect(refusal(harness, id, try TestFile("FAKE CACHE one two")).contains("Apus did not write it"))
        #expect(refusal(harness, id, try TestFile()).contains("Apus did not write it"))
        try file.replace(whole)
        #expect(refusal(harness, id, file) == "none")
    }
}
