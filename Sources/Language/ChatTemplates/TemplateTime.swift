/// A point in time as a wall clock shows it.
public struct TemplateTime: Sendable, Equatable {
    public let year: Int
    /// 1 to 12.
    public let month: Int
    public let day: Int
    public let hour: Int
    public let minute: Int
    public let second: Int
    /// 0 is Sunday.
    public let weekday: Int
    /// 1 to 366.
    public let dayOfYear: Int

    /// The time at a number of seconds after 1970-01-01 00:00:00 UTC, on a clock that is `utcOffsetSeconds` ahead.
    ///
    /// The date comes from the day number by eras of 400 years (H. Hinnant, "chrono-compatible low-level date
    /// algorithms"). Times outside the years 1 to 9999 are moved to the nearest of them.
    public init(unixSeconds: Int64, utcOffsetSeconds: Int64 = 0) {
        let (sum, overflow) = unixSeconds.addingReportingOverflow(utcOffsetSeconds)
        let seconds = Int(min(max(overflow ? 0 : sum, -62_135_596_800), 253_402_300_799))
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let secondOfDay = seconds - days * 86_400
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
        weekday = ((days + 4) % 7 + 7) % 7

        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfShiftedYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfShiftedYear + 2) / 153
        day = dayOfShiftedYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        dayOfYear =
            [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month - 1] + day + (isLeap && month > 2 ? 1 : 0)
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// The time written after a `strftime` pattern in the C locale; nil with the letter of a directive not known here.
    func formatted(_ pattern: String) -> (text: String, unknown: Character?) {
        var result = ""
        var rest = pattern[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            var isUnpadded = false
            if rest.first == "-" {
                isUnpadded = true
                rest.removeFirst()
            }
            guard let letter = rest.popFirst() else { return (result + "%", nil) }
            guard let field = field(letter) else { return (result, letter) }
            let digits = field.drop { $0 == "0" || $0 == " " }
            result += isUnpadded ? (digits.isEmpty ? "0" : digits) : field[...]
        }
        return (result, nil)
    }

    private func field(_ letter: Character) -> String? {
        func padded(_ value: Int, _ width: Int = 2, with padding: Character = "0") -> String {
            let digits = String(value)
            return String(repeating: padding, count: max(0, width - digits.count)) + digits
        }
        let hour12 = hour % 12 == 0 ? 12 : hour % 12
        switch letter {
        case "Y": return String(year)
        case "y": return padded(year % 100)
        case "m": return padded(month)
        case "d": return padded(day)
        case "e": return padded(day, with: " ")
        case "H": return padded(hour)
        case "I": return padded(hour12)
        case "M": return padded(minute)
        case "S": return padded(second)
        case "f": return "000000"
        case "p": return hour < 12 ? "AM" : "PM"
        case "B": return Self.months[month - 1]
        case "b", "h": return String(Self.months[month - 1].prefix(3))
        case "A": return Self.weekdays[weekday]
        case "a": return String(Self.weekdays[weekday].prefix(3))
        case "w": return String(weekday)
        case "u": return String(weekday == 0 ? 7 : weekday)
        case "j": return padded(dayOfYear, 3)
        case "F": return "\(padded(year, 4))-\(padded(month))-\(padded(day))"
        case "T", "X": return "\(padded(hour)):\(padded(minute)):\(padded(second))"
        case "R": return "\(padded(hour)):\(padded(minute))"
        case "D", "x": return "\(padded(month))/\(padded(day))/\(padded(year % 100))"
        // `strftime_now` has no time zone.
        case "z", "Z": return ""
        case "%": return "%"
        default: return nil
        }
    }
}
