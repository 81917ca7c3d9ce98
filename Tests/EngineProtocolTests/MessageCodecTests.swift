import TestSupport
import Testing

@testable import EngineProtocol

@Suite("Message codec") struct MessageCodecTests {
    // MARK: Properties

    @Test("random values survive the round trip, and have one encoding only", arguments: [1, 2, 3] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<400 {
            let message = RandomMessage.make(&random)
            let bytes = try encode(message, payloadChecksum: Bool.random(using: &random))
            let decoded = try decode(bytes)
            #expect(isSame(decoded, message), "seed \(seed)")
            #expect(try encode(decoded, payloadChecksum: bytes[5] == 2) == bytes, "seed \(seed)")
        }
    }

    @Test("10,000 mutated messages never trap, and what still decodes has that encoding")
    func mutations() throws {
        let seed: UInt64 = 20_261_121
        var random = SeededRandom(seed: seed)
        var accepted = 0
        for _ in 0..<10_000 {
            var bytes = try encode(RandomMessage.make(&random))
            for _ in 0..<Int.random(in: 1...2, using: &random) { Self.mutate(&bytes, &random) }
            Self.repairHeader(&bytes)
            guard let message = try? decode(bytes) else { continue }
            accepted += 1
            #expect(try encode(message) == bytes, "seed \(seed)")
        }
        // A changed number or letter is still a valid message: if none were, nothing but the header was tested.
        #expect(accepted > 500 && accepted < 9_500, "seed \(seed), \(accepted) accepted")
    }

    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        guard bytes.count > MessageHeader.size else { return bytes.append(0) }
        let place = Int.random(in: MessageHeader.size..<bytes.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 2: bytes.removeSubrange(place...)
        case 3: bytes.append(contentsOf: (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) })
        case 4: for index in place..<min(place + 4, bytes.count) { bytes[index] = 0xFF }
        default: bytes[6] = UInt8.random(in: 0...16, using: &random)
        }
    }

    /// Gives length and checksum their right values again, so that the payload is what gets tested.
    private static func repairHeader(_ bytes: inout [UInt8]) {
        let length = UInt32(bytes.count - MessageHeader.size)
        bytes.withUnsafeMutableBytes { bytes in
            bytes[5] = 0
            bytes.storeLittleEndian(length, at: 8)
            bytes.storeLittleEndian(UInt32(0), at: 20)
            let checksum = Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<24]))
            bytes.storeLittleEndian(checksum, at: 20)
        }
    }

    @Test("every cut of a message is refused")
    func cuts() throws {
        for sample in Samples.messages {
            var bytes = try encode(sample.message)
            while !bytes.isEmpty {
                bytes.removeLast()
                if bytes.count >= MessageHeader.size { Self.repairHeader(&bytes) }
                #expect(throws: CodecError.self) { try decode(bytes) }
            }
        }
    }

    // MARK: Header

    @Test("each flipped bit of a message is noticed when the checksum covers the payload")
    func flippedBits() throws {
        let message = Message.request(
            .tokenize(TokenizeRequest(text: "forty-two bytes of a text that matters")), call: Samples.call)
        let bytes = try encode(message, payloadChecksum: true)
        for bit in 0..<bytes.count * 8 {
            var changed = bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: CodecError.self, "bit \(bit)") { _ = try decode(changed) }
        }
    }

    @Test("each flipped bit of a header is refused")
    func headerBits() throws {
        for checksum in [false, true] {
            let bytes = try encode(Samples.messages[0].message, payloadChecksum: checksum)
            for bit in 0..<MessageHeader.size * 8 {
                var changed = bytes
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(throws: CodecError.self) { try decode(changed) }
            }
        }
    }

    @Test("a covered payload is refused when a bit of it changes")
    func payloadChecksum() throws {
        var bytes = try encode(.request(.detokenize(ids: [1]), call: Samples.call), payloadChecksum: true)
        bytes[bytes.count - 1] ^= 1
        #expect(throws: CodecError.payloadChecksumMismatch) { try decode(bytes) }
    }

    @Test("a header that promises more than the limit is refused before anything is read")
    func payloadLimit() throws {
        var header = Array(try encode(.request(.cancel, call: Samples.call)).prefix(24))
        header.withUnsafeMutableBytes { bytes in
            bytes.storeLittleEndian(UInt32(EngineProtocolLimits.payloadBytes + 1), at: 8)
            bytes.storeLittleEndian(UInt32(0), at: 20)
            bytes.storeLittleEndian(Checksum.of(UnsafeRawBufferPointer(bytes)), at: 20)
        }
        let limit = EngineProtocolLimits.payloadBytes
        #expect(throws: CodecError.limitExceeded(field: "payload", limit: limit, value: limit + 1)) {
            try header.withUnsafeBytes { try MessageHeader(decoding: $0) }
        }
    }

    @Test("an external header keeps type, id and length, and the payload's checksum")
    func externalHeader() throws {
        let whole = try encode(.request(.detokenize(ids: [1, 2]), call: Samples.call), payloadChecksum: true)
        let external = try whole.withUnsafeBytes { try MessageCodec.externalHeader(for: $0) }
        let header = try external.withUnsafeBytes { try MessageHeader(decoding: $0) }
        #expect(header.flags == [.externalPayload, .payloadChecksum])
        #expect(header.type == .detokenize && header.messageID == Samples.call.rawValue && header.payloadLength == 16)
        #expect(isSame(try decode(external + whole[24...]), .request(.detokenize(ids: [1, 2]), call: Samples.call)))
    }

    // MARK: Ranges

    static let overTail: [(UInt32, UInt32)] = [
        (8, 0), (16, 5), (12, 6), (13, 5), (12, 0xFFFF_FFFF), (0xFFFF_FFFF, 5), (0xFFFF_FFFF, 0xFFFF_FFFF), (0, 5),
        (0, 0), (12, 4),
    ]

    @Test("a range that overlaps, overflows, leaves a gap or lies about its length is refused", arguments: overTail)
    func ranges(offset: UInt32, length: UInt32) throws {
        var bytes = try encode(.request(.tokenize(TokenizeRequest(text: "hello")), call: Samples.call))
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeLittleEndian(offset, at: 24)
            bytes.storeLittleEndian(length, at: 28)
        }
        #expect(throws: CodecError.self) { try decode(bytes) }
    }

    @Test("text that is not UTF-8 is refused")
    func invalidText() throws {
        var bytes = try encode(.request(.tokenize(TokenizeRequest(text: "hello")), call: Samples.call))
        bytes[bytes.count - 1] = 0xC3
        #expect(throws: CodecError.invalidText(field: "text")) { try decode(bytes) }
    }

    @Test("a list that is no whole number of elements is refused")
    func brokenElement() throws {
        var bytes = try encode(.request(.detokenize(ids: [1]), call: Samples.call))
        bytes.append(0)
        bytes[28] = 5
        Self.repairHeader(&bytes)
        #expect(throws: CodecError.badLength(field: "ids", length: 5, elementSize: 4)) { try decode(bytes) }
    }

    // MARK: Tensors

    @Test("any value survives, bit for bit")
    func tensorBits() throws {
        let patterns: [UInt32] = [0x7FC0_0001, 0xFFFF_FFFF, 0x7F80_0000, 0x8000_0000, 1]
        let tensor = Tensor(rows: 1, columns: 5, values: patterns.map(Float.init(bitPattern:)))
        let message = Message.request(.generate(GenerateRequest(inputs: [.embeddings(tensor)])), call: Samples.call)
        guard case .request(.generate(let request), _) = try decode(encode(message)),
            case .embeddings(let decoded) = request.inputs[0]
        else {
            Issue.record("another message came out")
            return
        }
        #expect(decoded.values.map(\.bitPattern) == patterns)
    }

    static let wrongShapes: [(UInt32, UInt32)] = [
        (2, 2), (3, 3), (0, 3), (.max, .max), (0x4000_0002, 3), (6, 0), (1, 5),
    ]

    @Test("a shape that does not fit the bytes is refused before anything is allocated", arguments: wrongShapes)
    func tensorShape(rows: UInt32, columns: UInt32) throws {
        let event = EngineEvent.result(.embedded(Samples.tensor, promptTokens: 1))
        var bytes = try encode(.events([(Samples.call, event)]))
        // The tensor is the last structure of the message: rows, columns, range, tokens, and then its 24 bytes.
        let place = bytes.count - 24 - 20
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeLittleEndian(rows, at: place)
            bytes.storeLittleEndian(columns, at: place + 4)
        }
        #expect(throws: CodecError.badLength(field: "embedded", length: 24, elementSize: 4)) { try decode(bytes) }
    }

    @Test("credit for nothing is refused")
    func absentTensors() throws {
        var bytes = try encode(.request(.generate(GenerateRequest(inputs: [.text("")])), call: Samples.call))
        let place = 24 + 8 + 4 + 8 + 4 + 8 + 4 + 12
        #expect(bytes[place..<place + 12].allSatisfy { $0 == 0 })
        bytes[place + 4] = 1
        #expect(throws: CodecError.unknownValue(field: "tensors", value: 1)) { try decode(bytes) }
        bytes[place] = 1
        guard case .request(.generate(let request), _) = try decode(bytes) else { return }
        #expect(request.tensors == TensorRequest(kind: .hiddenStates, credit: 1))
    }

    // MARK: Limits on the way out

    @Test("what the decoder would refuse is not encoded, and the buffer stays as it was")
    func outgoingLimits() throws {
        let long = String(repeating: "x", count: EngineProtocolLimits.nameBytes + 1)
        var sampling = SamplingParameters()
        sampling.temperature = .nan
        let refused: [EngineRequest] = [
            .load(LoadRequest(source: .bundledDemo, purpose: .generate, displayName: long)),
            .load(LoadRequest(source: .descriptors(count: 1_000), purpose: .generate, displayName: "")),
            .load(
                LoadRequest(
                    source: .descriptors(count: 100), draftSource: .descriptors(count: 29), purpose: .generate,
                    displayName: "")),
            .generate(GenerateRequest(inputs: [.text("")], sampling: sampling)),
            .generate(GenerateRequest(inputs: [.text("")], choices: 129)),
            .generate(GenerateRequest(inputs: [.text("")], stopStrings: Array(repeating: "x", count: 65))),
            .generate(GenerateRequest(inputs: Array(repeating: .ids([]), count: 2_049))),
            .generate(GenerateRequest(inputs: [.text("")], tenant: long)),
            .generate(GenerateRequest(inputs: [.embeddings(Tensor(rows: 2, columns: 2, values: [1, 2, 3]))])),
            .embed(EmbedRequest(inputs: [.embeddings(Tensor(rows: .max, columns: .max, values: [1]))])),
            .embed(EmbedRequest(inputs: Array(repeating: .ids([]), count: 2_049))),
        ]
        for request in refused {
            var bytes: [UInt8] = [1, 2, 3]
            #expect(throws: CodecError.self) {
                try MessageCodec.encode(.request(request, call: Samples.call), into: &bytes)
            }
            #expect(bytes == [1, 2, 3])
        }
    }

    @Test("a different version or layout is a different build")
    func buildIdentity() {
        let identity = BuildIdentity.identity(version: "1.0.0", layoutRevision: 1)
        #expect(identity != BuildIdentity.identity(version: "1.0.1", layoutRevision: 1))
        #expect(identity != BuildIdentity.identity(version: "1.0.0", layoutRevision: 2))
        #expect(identity == BuildIdentity.identity(version: "1.0.0", layoutRevision: 1))
    }
}
