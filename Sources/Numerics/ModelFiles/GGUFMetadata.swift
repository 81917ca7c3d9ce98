/// The metadata of a GGUF file: keys in the order of the file, each once.
///
/// The getters return nil when the key is absent or its value has another type; `self[key]` tells the two apart.
public struct GGUFMetadata: Sendable {
    public struct Entry: Sendable {
        public let key: String
        public let value: GGUFValue
    }

    public let entries: [Entry]
    private let places: [String: Int]

    /// Nil if a key occurs twice.
    init?(entries: [Entry]) {
        var places: [String: Int] = [:]
        places.reserveCapacity(entries.count)
        for (index, entry) in entries.enumerated() where places.updateValue(index, forKey: entry.key) != nil {
            return nil
        }
        self.entries = entries
        self.places = places
    }

    public subscript(key: String) -> GGUFValue? { places[key].map { entries[$0].value } }

    /// A string; invalid UTF-8 becomes U+FFFD.
    public func string(_ key: String) -> String? { text(key)?.string }

    /// A view of a string's bytes.
    public func text(_ key: String) -> GGUFString? {
        if case .string(let value) = self[key] { value } else { nil }
    }

    /// An integer of any width that is not negative.
    public func uint(_ key: String) -> UInt64? {
        switch self[key] {
        case .unsigned(let value, _): value
        case .signed(let value, _): UInt64(exactly: value)
        default: nil
        }
    }

    /// An integer of any width that fits.
    public func int(_ key: String) -> Int64? {
        switch self[key] {
        case .unsigned(let value, _): Int64(exactly: value)
        case .signed(let value, _): value
        default: nil
        }
    }

    /// A number of any type.
    public func float(_ key: String) -> Double? {
        switch self[key] {
        case .float(let value, _): value
        case .unsigned(let value, _): Double(value)
        case .signed(let value, _): Double(value)
        default: nil
        }
    }

    public func bool(_ key: String) -> Bool? {
        if case .bool(let value) = self[key] { value } else { nil }
    }

    public func array(_ key: String) -> GGUFArray? {
        if case .array(let value) = self[key] { value } else { nil }
    }
}
