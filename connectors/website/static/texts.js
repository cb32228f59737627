/** Every word that the visitor reads. @param {number} n @param {string} one @param {string} many */
const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;
const number = new Intl.NumberFormat("en");

export const texts = {
  assistant: "AI assistant",
  you: "You",
  team: (/** @type {string} */ name) => `${name} (team)`,
  waiting: "Waiting for a person",
  nobody: "Conversation ended",
  answering: "Answering now",
  title: (/** @type {string} */ name) => `Chat with ${name}`,

  minimise: "Minimise chat",
  options: "Conversation options",
  person: "Talk to a person",
  download: "Download transcript",
  mute: "Mute sounds",
  end: "End conversation",
  conversation: "Conversation",
  message: "Message",
  send: "Send message",
  stop: "Stop answer",
  retry: "Retry sending",
  discard: "Delete unsent message",
  jump: "Jump to latest",
  jumpNew: (/** @type {number} */ n) => `Jump to latest, ${count(n, "new message", "new messages")}`,
  again: "Try again",
  restart: "Start a new conversation",
  privacy: "Privacy",

  hello: "How can we help?",
  helloAi: "The AI assistant answers at once. You can ask for a person at any time.",
  helloTeam: "Write to us. Someone from the team will answer.",

  sending: "Sending…",
  queued: "Waiting to send",
  sent: "Sent",
  unsent: "Not sent",
  removed: "Message removed",
  interrupted: "(interrupted)",

  writing: "AI assistant is writing.",
  asked: "We've asked the team to join. You can keep writing.",
  nudge: (/** @type {boolean} */ last, /** @type {boolean} */ assistant) =>
    last
      ? "Nobody is available right now. Leave your email and we'll reply."
      : `Still looking for someone. Keep ${assistant ? "chatting with the AI assistant" : "writing"}, or leave your email.`,
  joined: (/** @type {string} */ name) => `${name} joined the conversation.`,
  left: (/** @type {string} */ name) => `${name} left. The AI assistant is answering again.`,
  typing: (/** @type {string} */ name) => `${name} is typing…`,
  lost: "Connection lost. Reconnecting…",
  back: "Back online.",
  offline: "You're offline. Messages will be sent when you reconnect.",
  gone: "Some earlier messages were lost and can't be shown.",
  ended: "Conversation ended.",

  lineAsked: "You asked for a person",
  lineWanted: "The team was asked to join",
  lineJoined: (/** @type {string} */ name) => `${name} joined`,
  lineLeft: (/** @type {string} */ name) => `${name} left`,
  lineEnded: "Conversation ended",

  notSent: "Not sent. Check your connection.",
  tooLong: (/** @type {number} */ n, /** @type {number} */ most) =>
    `Message is too long (${number.format(n)} of ${number.format(most)} characters).`,
  tooFast: (/** @type {number} */ n) =>
    `You're sending messages too quickly. Try again in ${count(n, "second", "seconds")}.`,
  unreachable: (/** @type {number} */ n) => `Can't reach the chat. Retrying in ${count(n, "second", "seconds")}.`,
  failed: "The AI assistant couldn't answer.",
  closed: "This conversation was closed.",
  broken: "Chat couldn't load.",

  emailForm: "Leave your email",
  email: "Email",
  emailSend: "Send email address",
  emailWrong: "Enter an email address like name@example.com.",
  emailThanks: (/** @type {string} */ email) => `Thank you. We'll reply to ${email}.`,
  rate: "Rate this conversation",
  scores: /** @type {const} */ ({ good: "Good", ok: "OK", bad: "Bad" }),
  comment: "Comment (optional)",
  rateSend: "Send rating",
  rateThanks: "Thank you for your rating.",
};
