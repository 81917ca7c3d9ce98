/// Puts settings together: defaults < file < environment < flags.
public enum ConfigurationLoader {
    public static let fileVariable = "APUS_CONFIG"
    public static let fileFlag = "--config"

    /// - Parameters:
    ///   - arguments: of a verb whose syntax includes `settingsOptions`; its positional words are models if
    ///     `servesModels`.
    ///   - readFile: bytes of a file, or why it cannot be read.
    public static func load(
        arguments: ParsedArguments = ParsedArguments(), servesModels: Bool = false, environment: [String: String],
        readFile: (String) -> Result<[UInt8], ConfigurationError>
    ) throws(ConfigurationError) -> Settings {
        var settings = Settings()
        if let path = arguments.value(fileFlag) ?? environment[fileVariable] {
            try ConfigurationFile(path: path, bytes: readFile(path).get()).apply(to: &settings)
        }
        try apply(environment: environment, to: &settings)
        try apply(flags: arguments, to: &settings)
        if servesModels, !arguments.positionals.isEmpty {
            settings.models = try models(arguments.positionals, known: settings.models)
            settings.record("models", from: .argument)
        }
        return settings
    }

    /// The flags that set a key, and the one that names the file.
    public static let settingsOptions: [OptionSyntax] =
        [OptionSyntax(fileFlag, value: "FILE", help: "Configuration file (JSON), also \(fileVariable).")]
        + SettingsKey.all.map { key in
            let fallback = key.defaultText.isEmpty ? "" : " Default: \(key.defaultText)."
            return OptionSyntax(key.flag, value: key.placeholder, help: key.help + fallback)
        }

    private static func apply(
        environment: [String: String], to settings: inout Settings
    ) throws(ConfigurationError) {
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) where isOurs(variable, text) {
            let origin = SettingOrigin.environment(variable: variable)
            guard let key = SettingsKey.all.first(where: { $0.environment == variable }) else {
                let known = SettingsKey.all.map(\.environment) + [fileVariable]
                throw .unknownKey(
                    variable, origin: origin, suggestion: Suggestion.nearest(to: variable, among: known))
            }
            try set(key, text, origin, &settings)
        }
    }

    /// Variables of tests, and those that container platforms set for a service called `apus`, are no settings.
    private static func isOurs(_ variable: String, _ text: String) -> Bool {
        guard variable.hasPrefix("APUS_"), variable != fileVariable else { return false }
        let others = ["APUS_FIXTURES", "APUS_ISA", "APUS_TEST_", "APUS_SERVICE_", "APUS_PORT_"]
        return !others.contains(where: variable.hasPrefix) && !(variable == "APUS_PORT" && text.hasPrefix("tcp://"))
    }

    private static func apply(flags: ParsedArguments, to settings: inout Settings) throws(ConfigurationError) {
        for key in SettingsKey.all {
            guard let text = flags.value(key.flag) else { continue }
            try set(key, text, .flag(key.flag), &settings)
        }
    }

    private static func set(
        _ key: SettingsKey, _ text: String, _ origin: SettingOrigin, _ settings: inout Settings
    ) throws(ConfigurationError) {
        guard let value = key.kind.value(text: text) else {
            throw .badValue(key: key.name, value: text, allowed: key.kind.allowed, origin: origin)
        }
        key.store(&settings, value)
        settings.record(key.name, from: origin)
    }

    /// `[NAME=]MODEL`, where MODEL is a path or the name of a model in the file.
    private static func models(_ words: [String], known: [NamedModel]) throws(ConfigurationError) -> [NamedModel] {
        var models: [NamedModel] = []
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let hasName = parts.count == 2 && ModelName.isValid(parts[0])
            let reference = hasName ? parts[1] : word
            guard !reference.isEmpty else {
                throw .badValue(key: "MODEL", value: word, allowed: "[NAME=]MODEL", origin: .argument)
            }
            let named = known.first { $0.name == reference }
            let name = hasName ? parts[0] : named?.name ?? ModelName.ofFile(reference)
            guard !models.contains(where: { $0.name == name }) else { throw .duplicateModel(name: name) }
            models.append(
                NamedModel(
                    name: name, path: named?.path ?? reference, options: named?.options ?? ModelOptions()))
        }
        return models
    }
}

extension Settings {
    /// The path that a MODEL on the command line stands for: a configured model's, or the word itself.
    public func path(ofModel word: String) -> String { models.first { $0.name == word }?.path ?? word }

    /// Every key with its value and where that came from: for `apus config check`.
    public func effectiveTable() -> [(key: String, value: String, origin: SettingOrigin)] {
        let values = SettingsKey.all.map { key in
            (key: key.name, value: key.show(self) ?? key.unset, origin: origin(of: key.name))
        }
        let served = models.map { "\($0.name)=\($0.path)" }.joined(separator: " ")
        let options = models.flatMap { model in
            ModelOption.all.compactMap { option in
                option.show(model.options).map { text in
                    (key: "models.\(model.name).\(option.name)", value: text, origin: origin(of: "models"))
                }
            }
        }
        return values + [("models", models.isEmpty ? "the bundled demo model" : served, origin(of: "models"))] + options
    }

    /// The keys whose values differ in newer settings, and whether a running server can take those.
    public func changes(to newer: Settings) -> (reloadable: [String], needingRestart: [String]) {
        let changed = SettingsKey.all.filter { $0.show(self) != $0.show(newer) }
        let servedModels = models == newer.models ? [] : ["models"]
        return (changed.filter(\.reloads).map(\.name) + servedModels, changed.filter { !$0.reloads }.map(\.name))
    }
}
