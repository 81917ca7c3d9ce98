import ChatTemplates
import Foundation
import JSON
import TestSupport

/// The files that the scripts in `Goldens` make.
enum TemplateGoldens {
    static func json(_ name: String) throws -> JSONValue {
        try JSONValue.parse([UInt8](Data(contentsOf: url(name))))
    }

    static func text(_ name: String) throws -> String {
        try String(contentsOf: url(name), encoding: .utf8)
    }

    private static func url(_ name: String) -> URL {
        Fixtures.packageRoot.appendingPathComponent("Tests/ChatTemplatesTests/Goldens").appendingPathComponent(name)
    }

    /// 2024-07-26 09:05:03, as in the scripts.
    static let now = TemplateTime(unixSeconds: 1_721_984_703)

    /// A context file's members, spread over the fields of `TemplateContext`.
    static func context(_ json: JSONValue) -> TemplateContext {
        let own = ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"]
        var variables: [JSONObject.Member] = []
        if case .object(let object) = json { variables = object.members.filter { !own.contains($0.key) } }
        return TemplateContext(
            messages: json["messages"] ?? .array([]), tools: json["tools"],
            addGenerationPrompt: json["add_generation_prompt"] == .bool(true),
            bosToken: json["bos_token"]?.stringValue ?? "", eosToken: json["eos_token"]?.stringValue ?? "",
            variables: JSONObject(uniqueMembers: variables), now: now)
    }

    /// "length:FNV-1a" of a text in UTF-8.
    static func hash(_ text: String) -> String {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return "\(text.utf8.count):" + String(format: "%016llx", value)
    }
}

/// Renders a source with few or no messages.
func render(
    _ source: String, variables: JSONObject? = nil, limits: TemplateLimits = TemplateLimits()
) throws(TemplateError) -> String {
    try ChatTemplate(source: source, limits: limits).render(
        TemplateContext(messages: .array([]), variables: variables, now: TemplateGoldens.now), limits: limits)
}
