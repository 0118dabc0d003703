//! What a relay answered, or our side of the wire saw, in an operator's words. Answers of servers stand as they came:
//! they are what one searches for.

use crate::{
    config::settings::{EmailTransport, Settings},
    planning::rules::ChannelKind,
};

/// Our own words of where in the conversation something failed.
const PLACES: [(&str, &str); 11] = [
    ("connecting", ""),
    ("the greeting", "khi chờ lời chào"),
    ("EHLO", "ở lệnh EHLO"),
    ("STARTTLS", "ở lệnh STARTTLS"),
    ("the TLS handshake", "khi thiết lập mã hóa TLS"),
    ("AUTH", "khi đăng nhập"),
    ("MAIL", "ở lệnh MAIL"),
    ("RCPT", "ở lệnh RCPT"),
    ("DATA", "ở lệnh DATA"),
    ("the message", "khi đang chuyển thư"),
    ("the final dot", "sau khi đã chuyển hết thư"),
];

/// Our own words of what failed.
const TROUBLES: [(&str, &str); 12] = [
    ("connection refused", "máy chủ không nhận kết nối"),
    ("connection reset", "máy chủ ngắt kết nối"),
    ("broken pipe", "máy chủ ngắt kết nối"),
    ("the connection ended", "máy chủ ngắt kết nối"),
    ("the server had closed the connection", "máy chủ ngắt kết nối"),
    ("host unreachable", "không có đường mạng tới máy chủ"),
    ("network unreachable", "không có đường mạng tới máy chủ"),
    ("timed out", "máy chủ không trả lời đúng hạn"),
    ("no answer in time", "máy chủ không trả lời đúng hạn"),
    ("the relay's name was not found", "không tìm thấy tên máy chủ thư"),
    ("the relay's name has no address", "tên máy chủ thư không có địa chỉ"),
    ("cannot connect", "không kết nối được"),
];

/// A breaker's reason. What is known is said in Vietnamese with the original behind it; what is not stands as it is.
pub fn trouble(reason: &str) -> String {
    let (what, place) = reason.rsplit_once(" at ").unwrap_or((reason, ""));
    let known = TROUBLES.iter().find(|(ours, _)| *ours == what);
    let place = PLACES.iter().find(|(ours, _)| *ours == place);
    match (known, place) {
        (Some((_, said)), Some((_, place))) if !place.is_empty() => format!("{said} {place} ({reason})"),
        (Some((_, said)), _) => format!("{said} ({reason})"),
        (None, _) => reason.to_owned(),
    }
}

/// The last attempt as the ledger tells it (`site connection refused at connecting`).
pub fn last(attempt: &str) -> String {
    let (outcome, reply) = attempt.split_once(' ').unwrap_or((attempt, ""));
    let said = match outcome {
        "accepted" => "máy chủ đã nhận",
        "unknown" => "mất trả lời, không rõ đã nhận chưa",
        "recipient" => "địa chỉ bị từ chối",
        "permanent" => "thư bị từ chối",
        "transient" => "tạm từ chối",
        "throttled" => "bị yêu cầu gửi chậm lại",
        "site" => "chưa gửi được",
        "configuration" => "sai thiết lập",
        // Claimed and given back before a byte left: it counts for nothing. Why it was, an operator may have to know.
        "released" if matches!(reply, "" | "not begun") => return "chưa đến lượt".to_owned(),
        "released" => "trả lại hàng chờ",
        "crashed" => "dịch vụ bị ngắt khi đang gửi",
        "claimed" | "handed_over" => return "đang gửi".to_owned(),
        _ => return attempt.to_owned(),
    };
    if reply.is_empty() { said.to_owned() } else { format!("{said}: {}", trouble(reply)) }
}

/// Where a channel leads: `máy chủ thư 127.0.0.1:25`. An address of Zalo's may hold a secret and is not shown.
pub fn destination(settings: &Settings, channel: &str) -> String {
    match (ChannelKind::from_word(channel), &settings.email.transport) {
        (Some(ChannelKind::Email), EmailTransport::Smtp(smtp)) => format!("máy chủ thư {}:{}", smtp.host, smtp.port),
        (Some(ChannelKind::Email), EmailTransport::Maildir { path }) => format!("thư mục {}", path.display()),
        (Some(ChannelKind::Zalo), _) => "cổng Zalo".to_owned(),
        (None, _) => channel.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_know_is_said_in_vietnamese_with_the_original_and_a_servers_answer_stands_as_it_came() {
        for (ours, said) in [
            ("connection refused at connecting", "máy chủ không nhận kết nối (connection refused at connecting)"),
            (
                "no answer in time at the final dot",
                "máy chủ không trả lời đúng hạn sau khi đã chuyển hết thư (no answer in time at the final dot)",
            ),
            ("cannot connect", "không kết nối được (cannot connect)"),
            ("5.7.8 authentication failed", "5.7.8 authentication failed"),
            ("4.3.2 system not accepting mail at this time", "4.3.2 system not accepting mail at this time"),
        ] {
            assert_eq!(trouble(ours), said);
        }
        assert_eq!(last("recipient 5.1.1 no such user"), "địa chỉ bị từ chối: 5.1.1 no such user");
        assert_eq!(last("released not begun"), "chưa đến lượt");
        assert_eq!(last("released the database could not be read"), "trả lại hàng chờ: the database could not be read");
        assert_eq!(last("crashed"), "dịch vụ bị ngắt khi đang gửi");
        assert_eq!(last("site"), "chưa gửi được");
        assert_eq!(last(""), "");
    }
}
