import TestSupport

/// Makes broken requests out of good and bad ones.
struct RequestMutator {
    private var random: SeededRandom
    private static let corpus = (RequestCases.accepted.map(\.text) + RequestCases.refused.map(\.text)).map {
        Array($0.utf8)
    }
    private static let pieces = [
        "\r", "\n", "\r\n", "\r\n\r\n", "\0", ":", " ", "\t", ";", "chunked", "Content-Length: 5\r\n", "0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n", "GET / HTTP/1.1\r\n", "Host: a\r\n", "Expect: 100-continue\r\n", "ffffffff",
    ].map { Array($0.utf8) }

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func next() -> [UInt8] {
        var bytes = RequestMutator.corpus.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        let end = min(bytes.count, place + Int.random(in: 0...12, using: &random))
        switch Int.random(in: 0..<6, using: &random) {
        case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.removeSubrange(place..<end)
        case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
        case 4: bytes.insert(contentsOf: RequestMutator.pieces.randomElement(using: &random) ?? [], at: place)
        default: bytes = bytes[..<place] + (RequestMutator.corpus.randomElement(using: &random) ?? [])
        }
    }
}
