import EngineProtocol
import Foundation
import Models
import Platform
import TestSupport
import Testing

@testable import NativeEngine

/// A prompt's part of the KV cache in a file.
@Suite struct PromptCacheTests {
    /// A file in memory.
    private final class CacheFile: Sendable {
        private let descriptor: FileDescriptor

        init() throws { descriptor = try FileDescriptor.sealableMemory(name: "prompt-cache", byteCount: 0) }

        init(_ bytes: [UInt8], sealed: Bool = false) throws {
            let made = try bytes.withUnsafeBytes {
                try FileDescriptor.memory(name: "prompt-cache", bytes: $0, sealed: sealed).release()
            }
            descriptor = FileDescriptor(owning: made)
        }

        var file: SessionFile { SessionFile(descriptor: descriptor.rawValue, owner: self) }

        func bytes() throws -> [UInt8] {
            let count = Int(try descriptor.fileSize())
            return [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
                initialized = max(0, pread(descriptor.rawValue, bytes.baseAddress, count, 0))
            }
        }
    }

    private static let id = SessionTests.id
    private static let other = SessionID(rawValue: 6)
    /// 100 tokens: three blocks and a part of one.
    private static let prompt = (0..<100).map { TinyModel.token(byte: UInt8($0)) }

    private static func harness(
        _ tiny: TinyModel = TinyModel(), blocks: Int = 64, cacheType: LoadRequest.CacheType = .f16,
        draft: [UInt8]? = nil
    ) throws -> EngineHarness {
        var limits = EngineLimits()
        limits.cacheBlocks = blocks
        let harness = try EngineHarness(
            model: EngineHarness.load(tiny.bytes(), draft: draft, cacheType: cacheType, limits: limits),
            draftCost: draft == nil ? nil : 0.2)
        _ = try harness.engine.openSession(id)
        _ = try harness.engine.openSession(other)
        return harness
    }

    /// All that shows whether the positions before hold the same bits: log-probabilities.
    private static func request(
        _ ids: [Int32], session: SessionID? = id, tokens: UInt32 = 12, saves: Bool = false
    ) -> GenerateRequest {
        var request = GenerateRequest.text("", tokens: tokens)
        request.inputs = [.ids(ids)]
        request.logProbabilities = LogProbabilityOptions(top: 4)
        request.session = session.map { SessionUse(id: $0, savesCache: saves) }
        return request
    }

    private static func said(_ events: [EngineEvent]) -> Answer { Answer.all(events, choices: 1)[0] }

    /// Runs a generation that saves its prompt.
    private static func save(
        _ ids: [Int32], with harness: EngineHarness, in file: CacheFile
    ) throws -> [EngineEvent] {
        let call = harness.nextCall()
        try harness.engine.submit(harness.engine.prepare(request(ids, saves: true), file: file.file), call: call)
        return try harness.log.finished(call)
    }

    private static func saved(_ ids: [Int32] = prompt, with harness: EngineHarness? = nil) throws -> [UInt8] {
        let file = try CacheFile()
        let events = try save(ids, with: try harness ?? self.harness(), in: file)
        guard case .finished? = events.last else { throw Unexpected(description: "\(events.last as Any)") }
        return try file.bytes()
    }

    private struct Unexpected: Error { let description: String }

    private static func load(
        _ bytes: [UInt8], into harness: EngineHarness, session: SessionID = id
    ) throws -> SessionState {
        try harness.engine.changeSession(session, .loadCache, file: try CacheFile(bytes).file)
    }

    private static func refusal(_ bytes: [UInt8], by harness: EngineHarness) throws -> EngineError? {
        #expect(throws: EngineError.self) { try load(bytes, into: harness) }
    }

    // MARK: Use

    @Test(arguments: LoadRequest.CacheType.allCases)
    func `what one engine saved another finds, and it says the same`(type: LoadRequest.CacheType) throws {
        let writer = try Self.harness(cacheType: type)
        let file = try CacheFile(Array(repeating: 7, count: 100_000))
        let events = try Self.save(Self.prompt, with: writer, in: file)
        #expect(try Self.said(events) == Self.said(writer.run(Self.request(Self.prompt, session: nil))))
        #expect(events.count(where: \.isEnd) == 1)
        #expect(writer.engine.statistics.cacheBlocksUsed == 0)
        let reader = try Self.harness(cacheType: type)
        let ids = Self.prompt + [9, 8, 7]
        let expected = Self.said(try reader.run(Self.request(ids, session: nil)))
        let state = try Self.load(try file.bytes(), into: reader)
        #expect(state == SessionState(cachedPositions: 96))
        for _ in 0..<2 {
            let events = try reader.run(Self.request(ids))
            #expect(Self.said(events) == expected)
            #expect(try #require(events.usage).cachedTokens >= 96)
        }
        // Also where all of the prompt is cached, and where only a part of it is.
        for count in [96, 64, 70, 32, 31, 1] {
            let part = Array(Self.prompt[..<count])
            let events = try reader.run(Self.request(part, session: Self.id))
            #expect(try Self.said(events) == Self.said(reader.run(Self.request(part, session: nil))), "\(count)")
            #expect(try #require(events.usage).cachedTokens >= min(count, 96) / 32 * 32 - 1)
        }
        #expect(reader.engine.statistics.cacheBlocksUsed == 3)
        #expect(try reader.engine.changeSession(Self.id, .releaseCache) == SessionState())
        #expect(reader.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `history goes on from a loaded cache`() throws {
        let harness = try Self.harness()
        _ = try Self.load(try Self.saved(), into: harness)
        var held: [Int32] = []
        for turn in 0..<3 {
            let new = turn == 0 ? Self.prompt : [9, 8, Int32(turn)]
            held += new
            var request = Self.request(new)
            request.session?.keepsHistory = true
            let events = try harness.run(request)
            #expect(try Self.said(events) == Self.said(harness.run(Self.request(held, session: nil))))
            #expect(try #require(events.usage).cachedTokens >= 96)
            held += events.ids()
        }
    }

    @Test func `a draft model takes nothing for computed that was loaded`() throws {
        let draft = TinyModel().bytes()
        let harness = try Self.harness(draft: draft)
        let bytes = try Self.saved()
        // Its blocks held something else before.
        for number in 0..<20 { _ = try harness.run(SharedCacheTests.request(number, common: 0, own: 100, tokens: 3)) }
        _ = try Self.load(bytes, into: harness)
        var request = Self.request(Self.prompt + [5], tokens: 40)
        request.logProbabilities = nil
        let expected = try harness.run(request).ids()
        request.speculation = .model
        let events = try harness.run(request)
        #expect(events.ids() == expected)
        #expect(events.usage?.rejectedDraftTokens == 0)
        #expect(events.usage?.acceptedDraftTokens ?? 0 > 0)
    }

    @Test func `a session sees its own cache, and nobody else does`() throws {
        let harness = try Self.harness()
        let own = try Self.saved()
        let expected = Self.said(try harness.run(Self.request(Self.prompt, session: nil)))
        // A file that is right in form, and wrong in every number.
        let forged = try Self.forged(with: harness)
        #expect(try Self.load(own, into: harness) == SessionState(cachedPositions: 96))
        #expect(try Self.load(forged, into: harness, session: Self.other) == SessionState(cachedPositions: 96))
        for _ in 0..<2 {
            #expect(try Self.said(harness.run(Self.request(Self.prompt, session: Self.other))) != expected)
            #expect(try Self.said(harness.run(Self.request(Self.prompt))) == expected)
            #expect(try Self.said(harness.run(Self.request(Self.prompt, session: nil))) == expected)
        }
        // What a client may write into a salt leads nowhere.
        for salt in ["prompt cache 1", "prompt cache 2", "\u{0}prompt cache 2"] {
            var request = Self.request(Self.prompt, session: nil)
            request.cacheSalt = salt
            let events = try harness.run(request)
            #expect(Self.said(events) == expected)
            #expect(events.usage?.cachedTokens == 0)
        }
        _ = try harness.engine.changeSession(Self.other, .releaseCache)
        #expect(try Self.said(harness.run(Self.request(Self.prompt, session: Self.other))) == expected)
    }

    private static func forged(with harness: EngineHarness) throws -> [UInt8] {
        let identity = try harness.model.promptCacheIdentity()
        let blocks = (0..<3).map { _ in
            let block = UnsafeMutableRawBufferPointer.allocate(byteCount: identity.blockBytes, alignment: 64)
            block.initializeMemory(as: UInt8.self, repeating: 0x31)
            return block
        }
        defer { for block in blocks { block.deallocate() } }
        let file = try CacheFile()
        try PromptCacheFile.write(
            tokens: Array(prompt[..<96]), identity: identity, to: file.file, blocks: blocks)
        return try file.bytes()
    }

    @Test func `numbers that are none end the call of whoever brought them`() throws {
        let harness = try Self.harness()
        var bytes = try Self.forged(with: harness)
        let identity = try harness.model.promptCacheIdentity()
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: identity.blockBytes, alignment: 64)
        defer { block.deallocate() }
        block.initializeMemory(as: UInt8.self, repeating: 0xFF)
        let file = try CacheFile()
        try PromptCacheFile.write(
            tokens: Array(Self.prompt[..<32]), identity: identity, to: file.file, blocks: [block])
        bytes = try file.bytes()
        _ = try Self.load(bytes, into: harness)
        let events = try harness.run(Self.request(Self.prompt))
        #expect(events.count(where: \.isEnd) == 1)
        #expect(try harness.run(Self.request(Self.prompt, session: nil)).ids().count == 12)
    }

    // MARK: Room

    @Test func `loaded caches have half of the blocks, and what is left is what sequences may need`() throws {
        let bytes = try Self.saved()
        let small = try Self.harness(blocks: 5)
        guard case .resourceExhausted(let message, _)? = try Self.refusal(bytes, by: small) else {
            Issue.record("not refused")
            return
        }
        #expect(message.contains("3 blocks") && message.contains("2 can be loaded"))
        let harness = try Self.harness(blocks: 8)
        #expect(try Self.load(bytes, into: harness) == SessionState(cachedPositions: 96))
        // The same again takes the place of the one before, and a second one has no room.
        #expect(try Self.load(bytes, into: harness) == SessionState(cachedPositions: 96))
        #expect(harness.engine.statistics.cacheBlocksUsed == 3)
        guard
            case .resourceExhausted(let reason, false)? = #expect(
                throws: EngineError.self, performing: { try Self.load(bytes, into: harness, session: Self.other) })
        else {
            Issue.record("not refused")
            return
        }
        #expect(reason.contains("6 blocks, at most 4"))
        // Five blocks are left.
        let long = Self.request(Array(repeating: 9, count: 150), session: nil, tokens: 20)
        guard
            case .resourceExhausted(let needs, false)? = #expect(
                throws: EngineError.self, performing: { try harness.start(long) })
        else {
            Issue.record("not refused")
            return
        }
        #expect(needs.contains("160 beside the 96"))
        _ = try harness.engine.closeSession(Self.id)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
        let call = try harness.start(Self.request(Array(repeating: 9, count: 130), session: nil, tokens: 100))
        // It may grow into blocks that a cache would take.
        #expect(throws: EngineError.self) { try Self.load(bytes, into: harness, session: Self.other) }
        #expect(try harness.log.finished(call).ids().count == 100)
        #expect(try Self.load(bytes, into: harness, session: Self.other) == SessionState(cachedPositions: 96))
    }

    @Test func `beside heavy traffic and too few blocks, caches are saved, loaded and right`() throws {
        let harness = try Self.harness(blocks: 14)
        let expected = Self.said(try Self.harness().run(Self.request(Self.prompt, session: nil)))
        let ids = (0..<4).map { number in
            SharedCacheTests.request(number, common: 0, own: 60, tokens: 60)
        }
        let alone = try ids.map { try Self.harness().run($0).ids() }
        for _ in 0..<3 {
            let others = try ids.map { try harness.start($0) }
            let bytes = try Self.saved(with: harness)
            for (call, ids) in zip(others, alone) { #expect(try harness.log.finished(call).ids() == ids) }
            #expect(try Self.load(bytes, into: harness) == SessionState(cachedPositions: 96))
            let more = try ids.map { try harness.start($0) }
            #expect(try Self.said(harness.run(Self.request(Self.prompt))) == expected)
            for (call, ids) in zip(more, alone) { #expect(try harness.log.finished(call).ids() == ids) }
            #expect(try harness.engine.changeSession(Self.id, .releaseCache) == SessionState())
        }
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    // MARK: Refusals

    @Test func `a cache of something else is refused in words`() throws {
        let bytes = try Self.saved()
        var another = TinyModel()
        another.seed = 2
        var wide = TinyModel()
        wide.keyValueHeads = 4
        let cases: [(EngineHarness, String)] = [
            (try Self.harness(another), "another model"), (try Self.harness(wide), "another model"),
            (try Self.harness(cacheType: .q8), "another type of KV cache"),
        ]
        for (harness, words) in cases {
            guard case .invalidRequest("prompt_cache", let message)? = try Self.refusal(bytes, by: harness) else {
                Issue.record("not refused: \(words)")
                continue
            }
            #expect(message.contains(words))
        }
        let harness = try Self.harness()
        for (change, words) in [
            ({ $0[0] = 0 }, "is no prompt cache"), ({ $0[8] = 2 }, "has version 2, this program reads version 1"),
            ({ $0[24] ^= 1 }, "another instruction set"), ({ $0[40] = 16 }, "blocks of another size"),
            ({ $0[48] ^= 1 }, "blocks of another size"), ({ $0[60] ^= 1 }, "the checksum of its head"),
            ({ $0[$0.count - 9] ^= 1 }, "the checksum of block 2"), ({ $0.removeLast() }, "its head tells of"),
            ({ $0.append(0) }, "its head tells of"), ({ $0 = [] }, "it ends at byte 0"),
            ({ $0.removeSubrange(70...) }, "it ends at byte 70"),
        ] as [((inout [UInt8]) -> Void, String)] {
            var changed = bytes
            change(&changed)
            guard case .invalidRequest("prompt_cache", let message)? = try Self.refusal(changed, by: harness) else {
                Issue.record("not refused: \(words)")
                continue
            }
            #expect(message.contains(words), "\(message)")
        }
        var many = bytes
        for index in 44..<48 { many[index] = 0xFF }
        guard case .resourceExhausted? = try Self.refusal(many, by: harness) else {
            Issue.record("not refused")
            return
        }
        #expect(try harness.engine.sessionState(Self.id) == SessionState())
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `a token beyond the vocabulary is refused, though the checksum is right`() throws {
        let harness = try Self.harness()
        let file = try CacheFile()
        let identity = try harness.model.promptCacheIdentity()
        for token in [Int32(TinyModel.vocabularySize), -1, .max] {
            let block = UnsafeMutableRawBufferPointer.allocate(byteCount: identity.blockBytes, alignment: 64)
            defer { block.deallocate() }
            block.initializeMemory(as: UInt8.self, repeating: 0)
            let tokens = Array(repeating: Int32(1), count: 31) + [token]
            try PromptCacheFile.write(tokens: tokens, identity: identity, to: file.file, blocks: [block])
            guard case .invalidRequest("prompt_cache", let message)? = try Self.refusal(file.bytes(), by: harness)
            else {
                Issue.record("not refused")
                continue
            }
            #expect(message.contains("token \(token)"))
        }
    }

    @Test func `five hundred damaged files are refused, and nothing else happens`() throws {
        let harness = try Self.harness()
        let bytes = try Self.saved()
        let expected = Self.said(try harness.run(Self.request(Self.prompt, session: nil)))
        var random = SeededRandom(seed: 12)
        for round in 0..<500 {
            var changed = bytes
            // The head is a small part of the file and half of the damage.
            let reach = round % 2 == 0 ? 56 : changed.count
            switch random.next() % 4 {
            case 0: changed[Int(random.next() % UInt64(reach))] ^= UInt8(1 << (random.next() % 8))
            case 1: changed.removeLast(1 + Int(random.next() % UInt64(changed.count)))
            case 2: changed += (0...Int(random.next() % 50)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            default:
                let start = Int(random.next() % UInt64(reach))
                let value = UInt8(truncatingIfNeeded: random.next())
                for index in start..<min(start + 8, changed.count) { changed[index] = value }
            }
            if changed == bytes { continue }
            #expect(try Self.refusal(changed, by: harness) != nil, "round \(round)")
        }
        #expect(try harness.engine.sessionState(Self.id) == SessionState())
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
        #expect(try Self.said(harness.run(Self.request(Self.prompt))) == expected)
    }

    @Test func `a file that cannot be written fails its call and leaves the session as it was`() throws {
        let harness = try Self.harness()
        var first = Self.request([5, 6, 7])
        first.session?.keepsHistory = true
        _ = try harness.run(first)
        let before = try harness.engine.sessionState(Self.id)
        let events = try Self.save(Self.prompt, with: harness, in: try CacheFile([1, 2, 3], sealed: true))
        guard case .failed(.resourceExhausted(let message, false))? = events.last else {
            Issue.record("\(events.last as Any)")
            return
        }
        #expect(message.contains("prompt cache file"))
        #expect(events.ids().count == 12 && events.count(where: \.isEnd) == 1)
        #expect(try harness.engine.sessionState(Self.id) == before)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
        for body in [
            { _ = try harness.start(Self.request(Self.prompt, saves: true)) },
            { _ = try harness.engine.changeSession(Self.id, .loadCache) },
        ] as [() throws -> Void] {
            guard case .invalidRequest("prompt_cache", _)? = #expect(throws: EngineError.self, performing: body) else {
                Issue.record("not refused")
                return
            }
        }
    }

    @Test func `a short prompt has no whole block, which is no error`() throws {
        let harness = try Self.harness()
        #expect(try Self.load(try Self.saved([5, 6, 7]), into: harness) == SessionState())
        #expect(try harness.run(Self.request([5, 6, 7])).ids().count == 12)
    }

    @Test func `a generation that is paused saves what is computed of its prompt`() throws {
        let harness = try Self.harness()
        let file = try CacheFile()
        let call = harness.nextCall()
        var request = Self.request(Self.prompt, tokens: 100, saves: true)
        request.logProbabilities = nil
        // It waits for credit after a few tokens.
        request.tensors = TensorRequest(kind: .hiddenStates, credit: UInt64(104 * TinyModel().width * 4))
        try harness.engine.submit(harness.engine.prepare(request, file: file.file), call: call)
        _ = try harness.log.events(of: call) { !$0.ids().isEmpty }
        harness.engine.pause(call)
        #expect(try harness.log.finished(call).reason() == .paused)
        let reader = try Self.harness()
        #expect(try Self.load(try file.bytes(), into: reader) == SessionState(cachedPositions: 96))
        let events = try reader.run(Self.request(Self.prompt))
        #expect(try Self.said(events) == Self.said(reader.run(Self.request(Self.prompt, session: nil))))
    }
}
