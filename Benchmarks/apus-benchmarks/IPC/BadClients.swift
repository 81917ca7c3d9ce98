import EngineProtocol
import Foundation
import Platform
import SharedMemory

/// Sends requests as fast as it can until it is killed, in the middle of a record more often than not.
enum Flood {
    static func run(_ words: Words) throws {
        var end = try rings(words)
        var random = Randomness(seed: UInt64(try words.integer("seed", default: 1)))
        let texts = [64, 1 << 10, 16 << 10, 60 << 10].map { EchoMessages.text(bytes: $0) }
        var bytes: [UInt8] = []
        var number: UInt64 = 0
        Output.report(["connected": true])
        while true {
            number += 1
            bytes.removeAll(keepingCapacity: true)
            let text = texts[Int.random(in: 0..<texts.count, using: &random)]
            let request = LocalCall(request: .tokenize(TokenizeRequest(text: text)))
            try MessageCodec.encode(.localCall(request, call: CallID(rawValue: number)), into: &bytes)
            try bytes.withUnsafeBytes { try end.send($0, flushes: true) }
            try end.dropArrived()
        }
    }

    static func rings(_ words: Words) throws -> RingEnd {
        let connection = try Meeting.connect(
            path: try words.text("path"), carrier: .rings, ringBytes: SharedMemoryLimits.defaultCapacity)
        guard case .rings(let rings) = consume connection.transport else { throw BenchmarkError("no rings") }
        return RingEnd(rings: rings, waiting: .blocked)
    }
}

/// Asks for a long answer, reads nothing for some seconds, and then counts what there is.
enum SlowReader {
    static func run(_ words: Words) throws {
        var end = try Flood.rings(words)
        var request = GenerateRequest(inputs: [.text("stamps")])
        request.maximumTokens = UInt32(try words.integer("words"))
        var bytes: [UInt8] = []
        let call = LocalCall(request: .generate(request))
        try MessageCodec.encode(.localCall(call, call: CallID(rawValue: 1)), into: &bytes)
        try bytes.withUnsafeBytes { try end.send($0, flushes: true) }
        sleep(UInt32(try words.integer("seconds")))
        var text = StampedText()
        var taken = 0
        while let received = try end.receive() {
            guard case .events(let events) = try MessageCodec.decode(header: received.header, payload: received.payload)
            else { throw BenchmarkError("something else than events") }
            for (_, event) in events {
                if case .tokens(let chunk) = event { _ = text.take(chunk.text) }
                taken += event.size
                guard event.isEnd else { continue }
                var outcome = "whole"
                if case .failed(let error) = event { outcome = error.code }
                return Output.report(["words": text.words, "wrong": text.wrong, "outcome": "\"\(outcome)\""])
            }
            guard taken >= LocalProtocol.window / 4 else { continue }
            bytes.removeAll(keepingCapacity: true)
            try MessageCodec.encode(.window(UInt32(taken), call: CallID(rawValue: 1)), into: &bytes)
            try bytes.withUnsafeBytes { try end.send($0, flushes: true) }
            taken = 0
        }
        Output.report(["words": text.words, "wrong": text.wrong, "outcome": "\"connection_lost\""])
    }
}
