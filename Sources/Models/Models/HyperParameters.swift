import ModelFiles

/// Checked access to the hyper-parameters of one architecture: `prefix.name` in the metadata.
struct HyperParameters {
    let metadata: GGUFMetadata
    let prefix: String

    func key(_ name: String) -> String { "\(prefix).\(name)" }

    func has(_ name: String) -> Bool { metadata[key(name)] != nil }

    /// An integer in `range`; nil if the key is absent.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(ModelLoadError) -> Int? {
        guard has(name) else { return nil }
        guard let value = metadata.int(key(name)) else {
            throw .invalidParameter(key: key(name), reason: "an integer is needed")
        }
        guard let value = Int(exactly: value), range.contains(value) else {
            throw .invalidParameter(
                key: key(name), reason: "\(value) is not in \(range.lowerBound)…\(range.upperBound)")
        }
        return value
    }

    func requiredInteger(_ name: String, in range: ClosedRange<Int>) throws(ModelLoadError) -> Int {
        guard let value = try integer(name, in: range) else { throw .missingParameter(key: key(name)) }
        return value
    }

    /// A finite number above zero, or zero too if `allowsZero`; nil if the key is absent.
    func positive(_ name: String, allowsZero: Bool = false) throws(ModelLoadError) -> Double? {
        guard has(name) else { return nil }
        guard let value = metadata.float(key(name)), value.isFinite, value > 0 || (allowsZero && value == 0),
            value < 1e12
        else { throw .invalidParameter(key: key(name), reason: "a finite positive number is needed") }
        return value
    }

    func bool(_ name: String) throws(ModelLoadError) -> Bool? {
        guard has(name) else { return nil }
        guard let value = metadata.bool(key(name)) else {
            throw .invalidParameter(key: key(name), reason: "true or false is needed")
        }
        return value
    }

    func string(_ name: String) throws(ModelLoadError) -> String? {
        guard has(name) else { return nil }
        guard let value = metadata.string(key(name)) else {
            throw .invalidParameter(key: key(name), reason: "a string is needed")
        }
        return value
    }
}
