/// What is wrong with a configuration: the key, the value, and what would be allowed.
public enum ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    case unknownKey(String, origin: SettingOrigin, suggestion: String?)
    case badValue(key: String, value: String, allowed: String, origin: SettingOrigin)
    case unreadableFile(path: String, reason: String)
    case duplicateModel(name: String)

    /// True if the words on the command line are at fault rather than the file or the environment.
    public var isUsage: Bool {
        switch self {
        case .unknownKey(_, .flag, _), .badValue(_, _, _, .flag), .badValue(_, _, _, .argument), .duplicateModel: true
        case .unknownKey, .badValue, .unreadableFile: false
        }
    }

    public var description: String {
        switch self {
        case .unknownKey(let key, let origin, let suggestion):
            let hint = suggestion.map { "; did you mean \($0)?" } ?? ""
            return "unknown \(Self.noun(origin)) \(key)\(Self.place(origin))\(hint)"
        case .badValue(let key, let value, let allowed, let origin):
            return "\(Self.subject(key, origin)) cannot be '\(value.prefix(128))': allowed is \(allowed)"
        case .unreadableFile(let path, let reason):
            return "configuration file \(path): \(reason)"
        case .duplicateModel(let name):
            return "two models have the name '\(name)'; give one another name with NAME=MODEL"
        }
    }

    private static func noun(_ origin: SettingOrigin) -> String {
        if case .environment = origin { "environment variable" } else { "key" }
    }

    private static func place(_ origin: SettingOrigin) -> String {
        if case .file(let path) = origin { " in \(path)" } else { "" }
    }

    private static func subject(_ key: String, _ origin: SettingOrigin) -> String {
        switch origin {
        case .builtIn, .argument: key
        case .file(let path): "\(key) in \(path)"
        case .environment(let variable): "\(variable) (\(key))"
        case .flag(let flag): "\(flag) (\(key))"
        }
    }
}
