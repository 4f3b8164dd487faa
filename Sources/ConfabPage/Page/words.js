// What the page says, in the two languages it knows.

const english = {
  title: "Group chat",
  you: (user) => `You are user ${user}`,
  user: (user) => `User ${user}`,
  placeholder: "Write a message",
  send: "Send",
  empty: "Please write something first.",
  offline: "Not connected: the message was not sent.",
  messages: "Messages",
  binary: (count) => `${count} bytes of binary data`,
  connecting: "Connecting…",
  open: "Connected",
  closed: "Disconnected",
  opened: "You have joined the chat.",
  ended: "The connection has ended.",
  reconnect: "Reconnect",
};

const chinese = {
  title: "群聊",
  you: (user) => `你是用户${user}`,
  user: (user) => `用户${user}`,
  placeholder: "请输入聊天内容",
  send: "发送",
  empty: "请不要输入空白内容",
  offline: "尚未连接,消息没有发送。",
  messages: "消息",
  binary: (count) => `${count} 字节的二进制数据`,
  connecting: "正在连接…",
  open: "已连接",
  closed: "已断开",
  opened: "你已加入群聊。",
  ended: "连接已断开。",
  reconnect: "重新连接",
};

export const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
export const words = language === "zh" ? chinese : english;
