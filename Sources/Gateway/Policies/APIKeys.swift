/// The keys that open the doors, read from a text file with one key on each line.
///
/// An empty set means that no key is needed, which only a loopback address allows. Empty lines and lines that begin with
/// `#` do not count.
public struct APIKeys: Sendable {
    public enum Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        case noKeys
        case tooMany(limit: Int)
        case badKey(line: Int, reason: String)

        public var description: String {
            switch self {
            case .noKeys: "the key file holds no key"
            case .tooMany(let limit): "the key file holds more than \(limit) keys"
            case .badKey(let line, let reason): "line \(line) of the key file: \(reason)"
            }
        }
    }

    public static let countLimit = 1024
    public static let keyBytes = 8...256

    private let keys: [[UInt8]]
    /// The number of each key's tenant.
    private let numbers: [Int]
    private let highestNumber: Int

    /// No key is needed.
    public init(replacing older: APIKeys? = nil) {
        keys = []
        numbers = []
        highestNumber = older?.highestNumber ?? 0
    }

    /// - Parameter older: the keys that were in force before: those that stay keep their tenants, and no tenant of theirs
    ///   is given to another key, because its requests may still be running.
    public init(file bytes: [UInt8], replacing older: APIKeys? = nil) throws(Invalid) {
        var keys: [[UInt8]] = []
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let key = line.trimmingSpaces
            if key.isEmpty || key.first == UInt8(ascii: "#") { continue }
            guard Self.keyBytes.contains(key.count) else {
                let range = "\(Self.keyBytes.lowerBound) to \(Self.keyBytes.upperBound)"
                throw .badKey(line: index + 1, reason: "a key has \(range) characters, this one \(key.count)")
            }
            guard key.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw .badKey(line: index + 1, reason: "a key is printable ASCII without spaces")
            }
            guard keys.count < Self.countLimit else { throw .tooMany(limit: Self.countLimit) }
            keys.append(Array(key))
        }
        guard !keys.isEmpty else { throw .noKeys }
        let older = older ?? APIKeys()
        var highest = older.highestNumber
        numbers = keys.map { key in
            if let known = older.keys.firstIndex(of: key) { return older.numbers[known] }
            highest += 1
            return highest
        }
        self.keys = keys
        highestNumber = highest
    }

    public var isRequired: Bool { !keys.isEmpty }

    /// The tenant that `key` stands for, or nil when it is none of the keys.
    ///
    /// Every key is compared to its end, so that the time taken tells nothing about how much of a guess was right.
    public func tenant(of key: some Collection<UInt8>) -> String? {
        var found: Int?
        for (index, known) in keys.enumerated() where known.equalsInConstantTime(key) { found = index }
        return found.map { "key-\(numbers[$0])" }
    }
}

extension [UInt8] {
    fileprivate func equalsInConstantTime(_ other: some Collection<UInt8>) -> Bool {
        guard other.count == count else { return false }
        var difference: UInt8 = 0
        for (left, right) in zip(self, other) { difference |= left ^ right }
        return difference == 0
    }
}

extension ArraySlice<UInt8> {
    fileprivate var trimmingSpaces: ArraySlice<UInt8> {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
        var part = drop(while: isSpace)
        while let last = part.last, isSpace(last) { part.removeLast() }
        return part
    }
}
