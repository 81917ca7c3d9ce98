import JSON

/// The JSON file: an object of sections, each an object of values, and `models`.
struct ConfigurationFile {
    let path: String
    /// Where its relative paths begin; empty is the working folder.
    let folder: String
    private let document: JSONObject

    init(path: String, bytes: [UInt8]) throws(ConfigurationError) {
        self.path = path
        folder = path.lastIndex(of: "/").map { String(path[..<$0]) + "/" } ?? ""
        let limits = JSONLimits(depth: 8, bytes: ConfigurationLimits.fileBytes, values: 65536)
        do {
            let value = try JSONValue.parse(bytes, limits: limits)
            guard let object = value.objectValue else {
                throw ConfigurationError.unreadableFile(path: path, reason: "it holds \(value.typeName), not an object")
            }
            document = object
        } catch let error as JSONError {
            throw .unreadableFile(path: path, reason: error.description)
        } catch let error as ConfigurationError {
            throw error
        } catch {
            throw .unreadableFile(path: path, reason: "\(error)")
        }
    }

    static func resolve(_ path: String, in folder: String) -> String { path.hasPrefix("/") ? path : folder + path }

    func apply(to settings: inout Settings) throws(ConfigurationError) {
        for section in document.members {
            if section.key == "models" {
                settings.models = try models(section.value)
                settings.record("models", from: .file(path: path))
                continue
            }
            guard SettingsKey.all.contains(where: { $0.name.hasPrefix(section.key + ".") }) else {
                throw unknown(section.key)
            }
            guard let object = section.value.objectValue else { throw bad(section.key, section.value, "an object") }
            for member in object.members {
                try apply(member.value, name: section.key + "." + member.key, to: &settings)
            }
        }
    }

    private func apply(_ value: JSONValue, name: String, to settings: inout Settings) throws(ConfigurationError) {
        guard let key = SettingsKey.all.first(where: { $0.name == name }) else { throw unknown(name) }
        guard let parsed = key.kind.value(json: value, folder: folder) else { throw bad(name, value, key.kind.allowed) }
        key.store(&settings, parsed)
        settings.record(name, from: .file(path: path))
    }

    /// Reads `{"name": {"path": "…", "context": 4096}}`.
    private func models(_ value: JSONValue) throws(ConfigurationError) -> [NamedModel] {
        guard let object = value.objectValue else { throw bad("models", value, "an object of models by name") }
        guard object.members.count <= ConfigurationLimits.models else {
            throw bad("models", .number(JSONNumber(object.members.count)), "up to \(ConfigurationLimits.models) models")
        }
        var models: [NamedModel] = []
        for member in object.members {
            let name = "models." + member.key
            guard ModelName.isValid(member.key) else { throw bad("models", .string(member.key), ModelName.allowed) }
            guard let fields = member.value.objectValue else { throw bad(name, member.value, "an object with 'path'") }
            let options = try options(fields, of: name)
            guard let path = fields["path"], case .text(let text) = SettingKind.path.value(json: path, folder: folder)
            else { throw bad(name + ".path", fields["path"] ?? .null, "the path of a model file") }
            models.append(NamedModel(name: member.key, path: text, options: options))
        }
        return models
    }

    private func options(_ fields: JSONObject, of model: String) throws(ConfigurationError) -> ModelOptions {
        var options = ModelOptions()
        for field in fields.members where field.key != "path" {
            let name = model + "." + field.key
            guard let option = ModelOption.all.first(where: { $0.name == field.key }) else {
                throw unknown(name, known: ModelOption.all.map { model + "." + $0.name })
            }
            guard let value = option.kind.value(json: field.value, folder: folder) else {
                throw bad(name, field.value, option.kind.allowed)
            }
            option.store(&options, value)
        }
        return options
    }

    private func unknown(
        _ name: String, known: [String] = SettingsKey.all.map(\.name) + ["models"]
    ) -> ConfigurationError {
        .unknownKey(name, origin: .file(path: path), suggestion: Suggestion.nearest(to: name, among: known))
    }

    private func bad(_ name: String, _ value: JSONValue, _ allowed: String) -> ConfigurationError {
        let text = value.stringValue ?? value.serializedText
        return .badValue(key: name, value: text, allowed: allowed, origin: .file(path: path))
    }
}

/// What a model may be called.
public enum ModelName {
    public static let allowed = "a model name of letters, digits and . _ : / - (not first)"

    public static func isValid(_ name: String) -> Bool {
        guard (1...ConfigurationLimits.modelNameBytes).contains(name.utf8.count), let first = name.utf8.first else {
            return false
        }
        let isPunctuation = { (byte: UInt8) in "._:/-".utf8.contains(byte) }
        let isWord = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        return isWord(first) && name.utf8.allSatisfy { isWord($0) || isPunctuation($0) }
    }

    /// The file's name without folder and extension.
    public static func ofFile(_ path: String) -> String {
        let end = path.split(separator: "/").last.map(String.init) ?? path
        guard let dot = end.lastIndex(of: "."), dot != end.startIndex else { return end }
        return String(end[..<dot])
    }
}
