import { Problem } from "./problem.js";

/** @type {Record<string, string>} */
const REASONS = {
  NotAllowedError: "a refusal; allow the camera for this page in the browser's settings",
  NotFoundError: "none; connect one",
  NotReadableError: "one that another program uses; close that program",
};

/** A camera, shown frame by frame while it is on. */
export class Camera {
  /** @param {HTMLVideoElement} video plays the camera's frames, unseen */
  constructor(video) {
    this.video = video;
    /** @type {MediaStream | null} */
    this.stream = null;
  }

  get isOn() {
    return this.stream !== null;
  }

  /** @throws {Problem} where there is no camera or it is not allowed */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Problem("Expected a camera, got a page without the right to one; open it by https or on localhost.");
    }
    try {
      const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "environment" };
      this.stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stop());  // it was pulled out
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      const { name, message } = /** @type {Error} */ (error);
      throw new Problem(`Expected a camera, got ${REASONS[name] ?? `"${message}"; choose a picture instead`}.`);
    }
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  /** @returns {Promise<ImageBitmap | null>} its present picture; null where it was turned off */
  async frame() {
    try {
      return await createImageBitmap(this.video);
    } catch (error) {
      if (this.isOn) throw error;
      return null;
    }
  }
}
